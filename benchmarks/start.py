"""The time from the command to the end of the first round, with everything installed."""

import tempfile
import time
from pathlib import Path

from benchmarks import federation as ours
from benchmarks import flower
from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples
from benchmarks.processes import ROOT, running

_TIME_LIMIT = 120.0
# The defaults of `make sim`, for the peer.
_LIKE_MAKE_SIM = {
    "clients": 100,
    "model": "net",
    "epochs": 2,
    "learning_rate": 1e-3,
    "momentum": 0.9,
}


def _ours(effort: Effort) -> Samples:
    """Run ``make sim`` and wait for round 1 in its history.csv."""
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        results = Path(folder) / "run"
        # -o: the environment exists, and make must not check whether to install it again.
        command = ["make", "-s", "-C", str(ROOT), "-o", ".venv/.ready", "sim"]
        command += ["DATASET=digits", "ROUNDS=2", f"OUT={results}"]
        started = time.monotonic()
        with running(command) as simulation:
            while not _has_round_1(results / "history.csv"):
                waited = time.monotonic() - started
                if simulation.child.poll() is not None or waited > _TIME_LIMIT:
                    raise ContenderError(f"no round after {waited:.1f} s: {simulation.log_tail()}")
                time.sleep(0.005)
            seconds = time.monotonic() - started
            simulation.child.wait(_TIME_LIMIT)
    return {"first round finished after": [seconds]}


def _has_round_1(history: Path) -> bool:
    return history.is_file() and any(
        line.startswith("1,") for line in history.read_text().splitlines()
    )


def _flowers(effort: Effort) -> Samples:
    rounds = flower.simulate("training", 1, **_LIKE_MAKE_SIM)
    return {"first round finished after": [rounds.first_round_seconds]}


START = Benchmark(
    name="start",
    title="From `make sim` (digits) to the first finished round; 100 participants, Net",
    units={"first round finished after": "s"},
    contenders=[
        Contender(flower.NAME, _flowers, flower.ENVIRONMENT.prepare),
        Contender(ours.NAME, _ours),
    ],
    claims=[
        Claim(
            f"{ours.NAME}, first round finished",
            lambda medians: medians[ours.NAME, "first round finished after"],
            "s",
            at_most=4,
        )
    ],
)
