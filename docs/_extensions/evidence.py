"""Tables of what the committed grids measured of a rule, an attack or a detector."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from pages import ROOT

from fedsiege.grammar import component
from fedsiege.grids.cells import CellFigures, read_figures
from fedsiege.grids.grid import Grid
from fedsiege.results.table import read_cells

RESULTS = ROOT / "experiments" / "results"
#: The grids that set attacks against rules or detectors, with one federation for all cells.
GRIDS = ("ladder", "arsenal", "audit")
#: Held: at most so much lost of the accuracy without an attack. Fell: more than this share of it.
HELD, FELL = 0.10, 0.50
CRITERION = (
    "What is left is the mean accuracy of the last three rounds, or, for an attack with a target, "
    "1 minus its success rate where that is less. *Held*: at most 10 points below the same run "
    "without an attack. *Fell*: more than half of that accuracy is lost. *Weakened*: in between."
)


@dataclass(frozen=True)
class Result:
    """One attack against one rule and one audit, over the seeds of a grid.

    Attributes:
        grid: the name of the grid.
        attack: as in ``attack_name``; empty for none.
        rule: the rule with its parameters and pre-aggregators.
        audit: the detectors; empty for none.
        left: for each seed, what the attack leaves, 0 to 1.
        before: the mean of that without an attack.
        found: for each detector, its true and false positive rate, means over the seeds.
    """

    grid: str
    attack: str
    rule: str
    audit: str
    left: tuple[float, ...]
    before: float
    found: dict[str, tuple[float | None, float | None]]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.left)

    @property
    def shown(self) -> str:
        """The mean in percent, with its 95 % interval where there are several seeds."""
        if len(self.left) == 1:
            return f"{100 * self.mean:.1f}"
        from scipy import stats

        error = statistics.stdev(self.left) / len(self.left) ** 0.5
        half = float(stats.t.ppf(0.975, len(self.left) - 1)) * error
        return f"{100 * self.mean:.1f} ± {100 * half:.1f}"

    @property
    def verdict(self) -> str:
        """Whether the defence held: see CRITERION."""
        lost = self.before - self.mean
        if lost <= HELD:
            return "held"
        return "fell" if lost > FELL * self.before else "weakened"


@cache
def results() -> tuple[Result, ...]:
    """Return the results of all grids; a grid has the same settings for all its cells."""
    return tuple(result for name in GRIDS for result in _read(name))


def _read(name: str) -> Iterator[Result]:
    """Yield the results of one grid."""
    grid = Grid.from_yaml((RESULTS / name / "grid.yaml").read_text())
    specs = {cell.labels: cell.spec for cell in grid}
    cells: dict[tuple[str, str, str], list[CellFigures]] = defaultdict(list)
    for figures in read_figures(grid, RESULTS / name / CellFigures.file):
        spec = specs[figures.labels]
        attack = spec.attack_name if spec.attack else ""
        cells[attack, spec.rule, spec.audit].append(figures)
    rates = _rates(name, grid)
    for (attack, rule, audit), several in cells.items():
        before = statistics.fmean(one.worth for one in cells["", rule, audit])
        labels = [one.labels for one in several]
        found = {
            detector: tuple(_mean(rates[one][detector][i] for one in labels) for i in (0, 1))
            for detector in rates.get(labels[0], {})
        }
        yield Result(name, attack, rule, audit, tuple(one.worth for one in several), before, found)


def _rates(name: str, grid: Grid) -> dict[tuple[str, ...], dict[str, tuple[str, str]]]:
    """Return the rates of each detector in each cell, as text."""
    rates: dict[tuple[str, ...], dict[str, tuple[str, str]]] = defaultdict(dict)
    for _, row in read_cells(RESULTS / name / "detection.csv"):
        rates[tuple(row[axis] for axis in grid.axes)][row["detector"]] = (row["tpr"], row["fpr"])
    return rates


def _mean(values: Iterable[str]) -> float | None:
    """Return the mean of those that are there."""
    numbers = [float(value) for value in values if value]
    return statistics.fmean(numbers) if numbers else None


def federation(name: str) -> str:
    """Return what the cells of a grid have in common, one sentence, with its seeds."""
    grid = Grid.from_yaml((RESULTS / name / "grid.yaml").read_text())
    seeds = sorted({cell.spec.seed for cell in grid})
    spec = next(iter(grid)).spec
    hostile = max(cell.spec.attack for cell in grid)
    said = (
        f"{spec.clients} participants, {hostile:.0%} of them hostile, {spec.partition}, "
        f"{spec.dataset}, {spec.model}, {spec.rounds} rounds"
    )
    if len(seeds) == 1:
        return (
            f"{said}. **One seed ({seeds[0]})**: there is no interval, and figures that lie closer "
            "together than those of two seeds are not ranked by it"
        )
    return f"{said}, seeds {', '.join(map(str, seeds))}; ± is the 95 % interval of the mean"


def names_in(text: str) -> list[str]:
    """Return the names of the components in a chain: "nnm/krum:f=3" has nnm and krum."""
    return [component(part)[0] for part in text.split("/")] if text else []
