"""The aggregator's peak memory in a round, as the number of participants grows."""

from collections.abc import Callable

from benchmarks import federation as ours
from benchmarks.contest import Benchmark, Claim, Contender, Effort, Samples

PARTICIPANTS = (100, 1000, 5000)
PARAMETERS = 44_426
_MEBIBYTE = 2**20
_BASE = "base"
#: With more participants the buffers of the connections do not grow any more.
_FULL = 1000


def _above(participants: int) -> str:
    return f"above the base, n={participants}"


def _matrix(participants: int) -> float:
    """Return the MiB of one float32 matrix ``(n, d)``."""
    return participants * PARAMETERS * 4 / _MEBIBYTE


def _peaks(rule: str) -> Callable[[Effort], Samples]:
    """Return a function that measures the peaks with a rule.

    The base is what an aggregator needs with any rule and any number of participants: the process,
    torch, the buffers of the connections. It is the peak of the same process after rounds of
    fedavg, which keeps no matrix, with enough participants to fill the buffers. Each number of
    participants gets a new aggregator, because the peak of a process never falls.
    """

    def measure(effort: Effort) -> Samples:
        samples: dict[str, list[float]] = {_BASE: []}
        for participants in PARTICIPANTS[: effort.of(len(PARTICIPANTS), 2)]:
            with ours.federation(ours.ECHO, max(participants, _FULL)) as federation:
                federation.round_seconds(clients=_FULL, model="lenet5", rule="fedavg", rounds=3)
                base = federation.peak_memory()
                federation.round_seconds(clients=participants, model="lenet5", rule=rule, rounds=2)
                peak = federation.peak_memory()
            samples[_BASE].append(base / _MEBIBYTE)
            samples[_above(participants)] = [(peak - base) / _MEBIBYTE]
        return samples

    return measure


def _of_matrix(rule: str, participants: int, at_most: float) -> Claim:
    return Claim(
        f"{rule}, n={participants}: above the base ÷ (n x d x 4 bytes)",
        lambda medians: medians[rule, _above(participants)] / _matrix(participants),
        "x",
        at_most=at_most,
    )


MEMORY = Benchmark(
    name="memory",
    title=f"Peak memory of the aggregator, d = {PARAMETERS:,}",
    units={_BASE: "MiB", **{_above(participants): "MiB" for participants in PARTICIPANTS}},
    contenders=[Contender(rule, _peaks(rule)) for rule in ("fedavg", "median")],
    claims=[
        *(_of_matrix("median", participants, 1.3) for participants in PARTICIPANTS),
        # fedavg keeps no updates: only the list of participants grows with n.
        _of_matrix("fedavg", PARTICIPANTS[-1], 0.05),
    ],
    most_repeats=1,
)
