"""Flower as a contender: its simulation engine, in its own virtual environment."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.environments import PEERS, Environment
from benchmarks.processes import last_json

NAME = "Flower"
ENVIRONMENT = Environment("flower")
_TIMEOUT = 240.0


@dataclass(frozen=True)
class Rounds:
    """The times of a run of the engine.

    Attributes:
        round_seconds: from the end of one round to the end of the next, for all but the first.
        first_round_seconds: from the start of the process to the end of the first round.
    """

    round_seconds: Sequence[float]
    first_round_seconds: float


def simulate(work: str, rounds: int, **options: object) -> Rounds:
    """Run the engine in a fresh process.

    Args:
        work: ``rounds`` (clients echo) or ``training``.
        rounds: number of rounds, 1 or more.
        options: further options of ``peers/flower_simulation.py``.
    """
    command = [str(ENVIRONMENT.python), str(PEERS / "flower_simulation.py"), work]
    for name, value in {"rounds": rounds, **options}.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    # Ray leaves files of its sessions, which are removed here. Its sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        environment = {"RAY_TMPDIR": folder, "HOME": folder, "OMP_NUM_THREADS": "1"}
        started = time.monotonic()
        answer = last_json(command, _TIMEOUT, environment)
    return Rounds(answer["round_seconds"], answer["first_round_closed_at"] - started)
