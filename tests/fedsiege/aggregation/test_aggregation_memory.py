"""Memory, measured: the peak of a process of its own, so that nothing else counts."""

import subprocess
import sys

import pytest

N, D = 200, 44_426
INPUT_MIB = N * D * 4 / 2**20  # 34 MiB

SCRIPT = """
import sys
import numpy as np, torch
from fedsiege import aggregation

def peak_mib():
    # VmHWM belongs to this process image alone; ru_maxrss would inherit that of pytest.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))

torch.set_num_threads(1)
rows = np.empty((int(sys.argv[1]), int(sys.argv[2])), np.float32)
np.random.default_rng(0).standard_normal(out=rows, dtype=np.float32)
rows[:3] *= 1e6
updates = torch.from_numpy(rows)
for name in aggregation.names():  # first use loads libraries and allocates their buffers
    aggregation.create(name)(updates[:50])
before = peak_mib()
for name in aggregation.names():
    aggregation.create(name)(updates)
    print(name, peak_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_second_copy_of_the_matrix() -> None:
    """A copy would cost 1.0 times the input; allowed are 0.3 times and a fixed floor of 8 MiB."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(N), str(D)], capture_output=True, text=True, check=True
    )
    extra = {name: float(mib) for name, mib in map(str.split, run.stdout.splitlines())}
    assert extra  # the peak only grows, so each figure covers the rules before it
    assert max(extra.values()) <= 0.3 * INPUT_MIB + 8, extra
