"""What a benchmark is: contenders that do the same work in turns, and claims about the outcome.

Machines are noisy, and noise comes in stretches. So the contenders take turns, repetition by
repetition, and a claim is judged within each repetition: what disturbs one disturbs the other.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median

#: Samples of one repetition by the name of what was measured.
Samples = Mapping[str, Sequence[float]]


class ContenderError(Exception):
    """A contender could not do its work. The text says why, for people."""


@dataclass(frozen=True)
class Effort:
    """How much a repetition does.

    Attributes:
        repeats: repetitions of each contender.
        quick: do the least that still shows a figure.
        seconds: after so many no further repetition begins; there is one in any case.
    """

    repeats: int
    quick: bool = False
    seconds: float = math.inf

    def of(self, usual: int, quick: int) -> int:
        """Return one of two amounts."""
        return quick if self.quick else usual


@dataclass(frozen=True)
class Contender:
    """Someone who does the work.

    Attributes:
        name: how the table calls it.
        measure: does one repetition and returns its samples.
        prepare: makes what it needs, outside every measurement.
    """

    name: str
    measure: Callable[[Effort], Samples]
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Claim:
    """A figure of one repetition, and the bound that is asked of it.

    Attributes:
        text: what the figure is.
        figure: computes it from ``medians[contender, measure]``.
        unit: as in the table, for instance "x".
        at_least: the lower bound, or None.
        at_most: the upper bound, or None.
    """

    text: str
    figure: Callable[[Mapping[tuple[str, str], float]], float]
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        """Whether the figure is within its bounds."""
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    @property
    def target(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}"
        return f"≤ {self.at_most:g} {self.unit}"


@dataclass(frozen=True)
class Benchmark:
    """Work, who does it, and what is claimed.

    Attributes:
        name: on the command line and of the results file.
        title: for people, with every condition that matters.
        units: the unit of each measure, in the order of the table.
        contenders: in the order in which they take turns.
        claims: what is asked.
        most_repeats: more repetitions would tell nothing new.
    """

    name: str
    title: str
    units: Mapping[str, str]
    contenders: Sequence[Contender]
    claims: Sequence[Claim]
    most_repeats: int = 100


@dataclass
class Outcome:
    """What came of a benchmark.

    Attributes:
        benchmark: which.
        repetitions: for each contender the samples of each repetition it finished.
        failures: for each contender that failed, why.
    """

    benchmark: Benchmark
    repetitions: dict[str, list[Samples]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def samples(self, contender: str, measure: str) -> list[float]:
        """All samples of one measure, over all repetitions."""
        finished = self.repetitions.get(contender, [])
        return [value for repetition in finished for value in repetition.get(measure, ())]

    def figures(self, claim: Claim) -> list[float]:
        """Return the figure in each repetition that everyone it is about has finished."""
        figures = []
        for turn in range(max(map(len, self.repetitions.values()), default=0)):
            medians = {
                (contender, measure): median(values)
                for contender, finished in self.repetitions.items()
                for measure, values in (finished[turn].items() if turn < len(finished) else ())
            }
            with suppress(KeyError):  # of a contender that failed
                figures.append(claim.figure(medians))
        return figures


def run(benchmark: Benchmark, effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Let the contenders take turns.

    A contender that fails is told of and takes no further part; the others go on.

    Args:
        benchmark: what to run.
        effort: how much.
        tell: shows one line of progress.
    """
    outcome = Outcome(benchmark, {contender.name: [] for contender in benchmark.contenders})
    for contender in _those_able(outcome, benchmark.contenders, lambda one: one.prepare()):
        tell(f"{benchmark.name}: {contender.name} is ready")
    repeats = min(effort.repeats, benchmark.most_repeats)
    began = time.monotonic()
    for turn in range(1, repeats + 1):
        if turn > 1 and time.monotonic() - began > effort.seconds:
            tell(f"{benchmark.name}: no more repetitions, {effort.seconds:g} s have passed")
            break

        def measure(contender: Contender) -> None:
            samples = contender.measure(effort)
            outcome.repetitions[contender.name].append(samples)

        for contender in _those_able(outcome, benchmark.contenders, measure):
            last = outcome.repetitions[contender.name][-1]
            shown = ", ".join(
                f"{name} {median(values):.4g} {benchmark.units[name]}"
                for name, values in last.items()
            )
            tell(f"{benchmark.name} {turn}/{repeats}: {contender.name}: {shown}")
    for name, why in outcome.failures.items():
        tell(f"{benchmark.name}: {name} failed: {why}")
    return outcome


def _those_able(
    outcome: Outcome, contenders: Sequence[Contender], do: Callable[[Contender], None]
) -> Iterator[Contender]:
    """Do it for each contender that has not failed so far; yield those that succeed."""
    for contender in contenders:
        if contender.name in outcome.failures:
            continue
        try:
            do(contender)
        except ContenderError as failure:
            outcome.failures[contender.name] = str(failure)
        else:
            yield contender
