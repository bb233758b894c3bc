"""Benchmarks: contenders that do the same work in turns, and claims about the results.

Other load on a machine comes and goes. Therefore the contenders take turns, repetition by
repetition, and a claim is judged within each repetition, where the same load disturbs all of them.
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
    """A contender could not do its work; the message says why."""


@dataclass(frozen=True)
class Effort:
    """The amount of work.

    Attributes:
        repeats: number of repetitions of each contender.
        quick: do the least that still gives figures.
        seconds: time after which no further repetition begins; there is at least one.
    """

    repeats: int
    quick: bool = False
    seconds: float = math.inf

    def of(self, usual: int, quick: int) -> int:
        """Return the amount ``quick`` for a quick run, else ``usual``."""
        return quick if self.quick else usual


@dataclass(frozen=True)
class Contender:
    """A framework or service that does the work.

    Attributes:
        name: the name in the table.
        measure: runs one repetition and returns its samples.
        prepare: installs or makes what is needed, outside of the measurements.
    """

    name: str
    measure: Callable[[Effort], Samples]
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Claim:
    """A figure of one repetition and its bound; exactly one bound is given.

    Attributes:
        text: the meaning of the figure.
        figure: computes the figure from ``medians[contender, measure]``.
        unit: the unit in the table, such as "x".
        at_least: the lower bound, or None.
        at_most: the upper bound, or None.
    """

    text: str
    figure: Callable[[Mapping[tuple[str, str], float]], float]
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether a figure is within the bound."""
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    @property
    def target(self) -> str:
        """The bound as text."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}"
        return f"≤ {self.at_most:g} {self.unit}"


@dataclass(frozen=True)
class Benchmark:
    """Work, the contenders that do it, and the claims about their figures.

    Attributes:
        name: the name on the command line and of the results file.
        title: the title of the table, with all relevant conditions.
        units: the unit of each measure, in the order of the table.
        contenders: the contenders, in the order of their turns.
        claims: the claims.
        most_repeats: the most repetitions that are useful.
    """

    name: str
    title: str
    units: Mapping[str, str]
    contenders: Sequence[Contender]
    claims: Sequence[Claim]
    most_repeats: int = 100


@dataclass
class Outcome:
    """The results of a benchmark.

    Attributes:
        benchmark: the benchmark.
        repetitions: the samples of each finished repetition, by contender.
        failures: the message of each contender that failed.
    """

    benchmark: Benchmark
    repetitions: dict[str, list[Samples]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def samples(self, contender: str, measure: str) -> list[float]:
        """Return all samples of one measure, over all repetitions."""
        finished = self.repetitions.get(contender, [])
        return [value for repetition in finished for value in repetition.get(measure, ())]

    def figures(self, claim: Claim) -> list[float]:
        """Return the claim's figure in each repetition that all its contenders have finished."""
        figures = []
        for turn in range(max(map(len, self.repetitions.values()), default=0)):
            medians = {
                (contender, measure): median(values)
                for contender, finished in self.repetitions.items()
                for measure, values in (finished[turn].items() if turn < len(finished) else ())
            }
            with suppress(KeyError):  # a contender that failed
                figures.append(claim.figure(medians))
        return figures


def run(benchmark: Benchmark, effort: Effort, show: Callable[[str], None]) -> Outcome:
    """Run a benchmark, its contenders in turns.

    A contender that fails is reported and left out from then on; the others go on.

    Args:
        benchmark: the benchmark.
        effort: the amount of work.
        show: called with each line of progress.
    """
    outcome = Outcome(benchmark, {contender.name: [] for contender in benchmark.contenders})
    for contender in _succeeding(outcome, benchmark.contenders, lambda one: one.prepare()):
        show(f"{benchmark.name}: {contender.name} is ready")
    repeats = min(effort.repeats, benchmark.most_repeats)
    began = time.monotonic()
    for turn in range(1, repeats + 1):
        if turn > 1 and time.monotonic() - began > effort.seconds:
            show(f"{benchmark.name}: no more repetitions, {effort.seconds:g} s have passed")
            break

        def measure(contender: Contender) -> None:
            samples = contender.measure(effort)
            outcome.repetitions[contender.name].append(samples)

        for contender in _succeeding(outcome, benchmark.contenders, measure):
            last = outcome.repetitions[contender.name][-1]
            shown = ", ".join(
                f"{name} {median(values):.4g} {benchmark.units[name]}"
                for name, values in last.items()
            )
            show(f"{benchmark.name} {turn}/{repeats}: {contender.name}: {shown}")
    for name, why in outcome.failures.items():
        show(f"{benchmark.name}: {name} failed: {why}")
    return outcome


def _succeeding(
    outcome: Outcome, contenders: Sequence[Contender], do: Callable[[Contender], None]
) -> Iterator[Contender]:
    """Call ``do`` with each contender that has not failed yet; yield those that succeed."""
    for contender in contenders:
        if contender.name in outcome.failures:
            continue
        try:
            do(contender)
        except ContenderError as failure:
            outcome.failures[contender.name] = str(failure)
        else:
            yield contender
