"""Memory, measured: the peak of a process of its own, so that nothing else counts."""

import subprocess
import sys

import pytest

from fedsiege import rules

N, D = 200, 44_426
INPUT_MIB = N * D * 4 / 2**20  # 34 MiB

#: Rules that keep what participants sent before, and rules that train.
MORE = {"fldetector", "foolsgold", "fedredefense", "fltrust", "sentinel", "specguard"}
TEXTS = {"mda": "mda:f=3", "smea": "smea:f=1"}
RULES = [TEXTS.get(name, name) for name in rules.names() if name not in MORE]
#: Behind a pre-aggregator too, a rule that works by coordinate never sees a whole matrix.
BY_COLUMNS = ["nnm/median", "arc/trimmed-mean", "clipping/fedavg", "bucketing/meamed"]
#: These make the matrix that the rule works on: one of their own beside what they need for it.
PIPELINES = ["nnm/krum:f=30", "bucketing/krum:f=30", "arc/krum:f=30", "arc/nnm/median"]

SCRIPT = """
import sys
import numpy as np, torch
from fedsiege import rules

def peak_mib():
    # VmHWM belongs to this process image alone; ru_maxrss would inherit that of pytest.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))

def run(text, updates):
    n, d = updates.shape
    context = rules.RoundContext(
        steps=torch.ones(n, dtype=torch.int64), model=torch.zeros(d), layout=[("weight", (d,))]
    )
    rules.parse(text)(updates, torch.ones(n, dtype=torch.int64), context=context)

n, d, *texts = sys.argv[1:]
torch.set_num_threads(1)
rows = np.empty((int(n), int(d)), np.float32)
np.random.default_rng(0).standard_normal(out=rows, dtype=np.float32)
rows[:3] *= 1e6
updates = torch.from_numpy(rows)
for text in texts:  # first use loads libraries and allocates their buffers
    run(text, updates[:190, :2000])
for text in texts:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is that of now
    before = peak_mib()
    run(text, updates)
    print(text, peak_mib() - before)
"""


def extra_memory(rules: list[str]) -> dict[str, float]:
    """The MiB that each rule takes beyond its input."""
    command = [sys.executable, "-c", SCRIPT, str(N), str(D), *rules]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name: float(mib) for name, mib in map(str.split, run.stdout.splitlines())}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_second_copy_of_the_matrix() -> None:
    """A copy would cost 1.0 times the input; allowed are 0.4 times and a fixed floor of 8 MiB."""
    extra = extra_memory([*RULES, *BY_COLUMNS])
    assert set(extra) == {*RULES, *BY_COLUMNS}
    bound = 0.4 * INPUT_MIB + 8
    beyond = {name: mib for name, mib in extra.items() if mib > bound}
    assert not beyond, f"these take more than {bound:.1f} MiB beyond their input"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_pre_aggregators_make_one_matrix() -> None:
    extra = extra_memory(PIPELINES)
    assert set(extra) == set(PIPELINES)
    assert max(extra.values()) <= 1.3 * INPUT_MIB + 8, extra
