"""Pulls of a model by workers, beside a plain socket."""

import sys

from benchmarks import federation as ours
from benchmarks.contest import Benchmark, Claim, Contender, Effort, Samples
from benchmarks.processes import last_json, running

_MEBIBYTES = 64
_TIMEOUT = 120.0
_SMALL_MEBIBYTES, _WORKERS = 4, 50
RAW = "raw blocking socket"

_ONE = f"{_MEBIBYTES} MiB to 1 worker"
_MANY = f"{_SMALL_MEBIBYTES} MiB to {_WORKERS} workers"


def _pull(mebibytes: int, workers: int, pulls: int) -> list[float]:
    """Return the seconds of each pull, with a new server process and a new client process."""
    module = [sys.executable, "-m", "benchmarks.large_model"]
    with running([*module, "serve", f"--mebibytes={mebibytes}"]) as server:
        address = f"127.0.0.1:{server.line('port ', _TIMEOUT)}"
        command = [*module, "pull", f"--mebibytes={mebibytes}", f"--address={address}"]
        command += [f"--workers={workers}", f"--pulls={pulls}"]
        seconds: list[float] = last_json(command, _TIMEOUT)["seconds"]
        return seconds


def _ours(effort: Effort) -> Samples:
    pulls = effort.of(20, 5)
    return {
        _ONE: [_MEBIBYTES / seconds for seconds in _pull(_MEBIBYTES, 1, pulls)],
        _MANY: _pull(_SMALL_MEBIBYTES, _WORKERS, pulls),
    }


def _raw(effort: Effort) -> Samples:
    command = [sys.executable, "-m", "benchmarks.raw_copy"]
    command += [f"--mebibytes={_MEBIBYTES}", f"--copies={effort.of(20, 5)}"]
    return {_ONE: last_json(command, _TIMEOUT)["mebibytes_per_second"]}


PULL = Benchmark(
    name="pull",
    title="The global model on its way to workers, over real gRPC on one machine",
    units={_ONE: "MiB/s", _MANY: "s"},
    contenders=[Contender(RAW, _raw), Contender(ours.NAME, _ours)],
    claims=[
        Claim(
            f"{_ONE}, {ours.NAME} ÷ {RAW}",
            lambda medians: medians[ours.NAME, _ONE] / medians[RAW, _ONE],
            "x",
            at_least=0.4,
        ),
        Claim(
            f"{_MANY}, until the last one has it",
            lambda medians: medians[ours.NAME, _MANY],
            "s",
            at_most=0.2,
        ),
    ],
)
