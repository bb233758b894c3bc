"""``cells.csv`` and ``detection.csv`` of a grid: the figures of each cell, one row each.

Both begin with a column for each axis of the grid, whose names are those of the axes. ``cells.csv``
ends with three columns for each intrusion that was tried: ``sybils_tried``, ``sybils_succeeded``,
``sybils_per_second``.
"""

import csv
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

from fedsiege.atomic import atomic_path
from fedsiege.grids.grid import Cell, Grid
from fedsiege.results import Outcome, ParticipantRow, RunRecords
from fedsiege.results.detection import RULE
from fedsiege.results.infrastructure import IntrusionRow
from fedsiege.results.record import Column, Record, fixed
from fedsiege.results.report import DetectorReport, detector_reports
from fedsiege.results.table import BadTable, read_cells, read_table

#: Rounds at the end of a run over which the accuracy is averaged.
LAST = 3


@dataclass(frozen=True)
class Attempts:
    """The attempts of one intrusion in a cell.

    Attributes:
        tried: how many there were.
        succeeded: how many succeeded.
        per_second: how many succeeded in a second.
    """

    tried: int
    succeeded: int
    per_second: float


_ATTEMPTS = ("tried", "succeeded", "per_second")


@dataclass(frozen=True)
class CellFigures(Record):
    """The figures of one cell.

    Attributes:
        labels: its label on each axis.
        intrusions: the attempts of each intrusion that was tried.
        versions: the software that computed it, in one line.
        detectors: the figures of the rule, the audit and each of its detectors.
    """

    file: ClassVar[str] = "cells.csv"

    labels: tuple[str, ...]
    accuracy: Annotated[
        float,
        Column(f"Mean accuracy over the last {LAST} rounds, 0 to 1.", in_file=fixed(4)),
    ]
    final: Annotated[float, Column("Accuracy after the last round, 0 to 1.", in_file=fixed(4))]
    lowest: Annotated[float, Column("The lowest accuracy of all rounds.", in_file=fixed(4))]
    seconds: Annotated[float, Column("Seconds of all rounds together.", in_file=fixed(1))]
    benign: Annotated[int, Column("Benign participants that took part.")]
    hostile: Annotated[int, Column("Hostile participants that took part.")]
    intrusions: Mapping[str, Attempts] = field(default_factory=dict)
    tpr: Annotated[
        float | None,
        Column(
            "Share of the hostile updates that the rule gave no weight, mean over the rounds; "
            "empty without any, and for rules that accuse no participant.",
            in_file=fixed(4),
        ),
    ] = None
    fpr: Annotated[float | None, Column("The same of the benign updates.", in_file=fixed(4))] = None
    asr: Annotated[
        float | None,
        Column(
            "Attack success rate after the last round, 0 to 1; empty where the attack has no "
            "target.",
            in_file=fixed(4),
        ),
    ] = None
    knowledge: Annotated[
        str, Column("Level of what the attack is handed; empty without an attack.")
    ] = ""
    incomplete_rounds: Annotated[
        int | None,
        Column(
            "Rounds that were closed without all honest updates; empty in older results, which "
            "do not say."
        ),
    ] = None
    destroyed: Annotated[
        bool,
        Column(
            "Whether the model was destroyed, its outputs NaN, in any of the rounds that the "
            "accuracy is the mean of."
        ),
    ] = False
    versions: str = ""
    detectors: tuple[DetectorReport, ...] = ()

    @property
    def worth(self) -> float:
        """What the attack leaves, 0 to 1: the accuracy, or the share that resists the trigger.

        A model with a backdoor is as accurate as any other. Of a destroyed model nothing is left,
        however its outputs are counted.
        """
        if self.destroyed:
            return 0.0
        succeeds = self.asr if self.hostile else None  # without an attack it is a base rate
        return self.accuracy if succeeds is None else min(self.accuracy, 1 - succeeds)

    @classmethod
    def read(cls, cell: Cell, folder: Path) -> "CellFigures":
        """Read the results of a cell's run."""
        run = RunRecords.read(folder)
        accuracies = [row.accuracy for row in run.history]
        last = run.history[1:][-LAST:] or run.history
        known = any(row.missing_honest is not None for row in run.history)
        took_part: dict[bool, set[int]] = {True: set(), False: set()}
        for _, row in read_table(folder / ParticipantRow.file, ParticipantRow):
            if row.outcome not in (Outcome.MISSING, Outcome.NOT_SCHEDULED):
                took_part[row.hostile].add(row.index)
        tried = read_table(folder / IntrusionRow.file, IntrusionRow)
        detectors = tuple(detector_reports(run))
        rule = next((one.worth for one in detectors if one.detector == RULE), None)
        return cls(
            labels=cell.labels,
            accuracy=statistics.fmean(row.accuracy for row in last),
            final=accuracies[-1],
            lowest=min(accuracies),
            seconds=sum(row.seconds for row in run.history[1:]),
            benign=len(took_part[False]),
            hostile=len(took_part[True]),
            intrusions={
                one.intrusion: Attempts(one.tried, one.succeeded, one.per_second)
                for _, one in tried
            },
            tpr=None if rule is None else rule.tpr,
            fpr=None if rule is None else rule.fpr,
            asr=run.history[-1].asr,
            knowledge="" if run.knowledge is None else run.knowledge.level,
            incomplete_rounds=sum(row.incomplete for row in run.history) if known else None,
            destroyed=any(row.destroyed for row in last),
            versions=str(run.info.versions or ""),
            detectors=detectors,
        )


@dataclass(frozen=True)
class DetectorFigures(Record):
    """The figures of one detector in one cell, means over the rounds in which they are defined."""

    file: ClassVar[str] = "detection.csv"

    detector: Annotated[str, Column("Name of the detector, or rule, selection or audit.")]
    tpr: Annotated[
        float | None, Column("Share of the hostile participants flagged.", in_file=fixed(4))
    ]
    fpr: Annotated[
        float | None, Column("Share of the benign participants flagged.", in_file=fixed(4))
    ]
    precision: Annotated[
        float | None, Column("Share of the flagged that are hostile.", in_file=fixed(4))
    ]
    auc: Annotated[
        float | None, Column("Area under the ROC curve of its scores.", in_file=fixed(4))
    ]
    rounds: Annotated[
        float | None,
        Column(
            "Rounds until half of the hostile participants had been flagged; empty if they never "
            "were.",
            in_file=lambda rounds: "" if rounds is None else f"{rounds:g}",
        ),
    ]
    never: Annotated[
        float | None,
        Column("Share of the hostile participants that were never flagged.", in_file=fixed(4)),
    ]

    @classmethod
    def of(cls, one: DetectorReport) -> "DetectorFigures":
        """Return the figures of a report."""
        found = one.discovery
        return cls(
            one.detector,
            **vars(one.worth),
            rounds=found.median if found else None,
            never=found.never if found else None,
        )


def in_order(grid: Grid, figures: Iterable[CellFigures]) -> list[CellFigures]:
    """Return the cells in the order of the grid."""
    place = {cell.labels: number for number, cell in enumerate(grid)}
    return sorted(figures, key=lambda one: place[one.labels])


def write_cells(grid: Grid, figures: Sequence[CellFigures], path: Path) -> None:
    """Write ``cells.csv``."""
    tried = sorted({name for one in figures for name in one.intrusions})
    further = [f"{name}_{what}" for name in tried for what in _ATTEMPTS]
    rows = []
    for one in in_order(grid, figures):
        row = [*one.labels, *one.to_row()]
        for name in tried:
            found = one.intrusions.get(name)
            row += [""] * len(_ATTEMPTS) if found is None else [*vars(found).values()]
        rows.append(row)
    _write([*grid.axes, *CellFigures.header(), *further], rows, path)


def write_detection(grid: Grid, figures: Sequence[CellFigures], path: Path) -> None:
    """Write ``detection.csv``."""
    rows = [
        [*cell.labels, *DetectorFigures.of(one).to_row()]
        for cell in in_order(grid, figures)
        for one in cell.detectors
    ]
    _write([*grid.axes, *DetectorFigures.header()], rows, path)


def _write(header: Sequence[str], rows: Iterable[Sequence[object]], path: Path) -> None:
    with atomic_path(path) as partial, partial.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def read_figures(grid: Grid, path: Path) -> Iterator[CellFigures]:
    """Read ``cells.csv`` of this version or an older one; it does not hold the detectors.

    Older tables do not say which models were destroyed. An accuracy of exactly 0 does: a model
    whose outputs are numbers is sometimes right, if only by chance.

    Raises:
        BadTable: it is not a table of this grid, or is damaged; the error names file and line.
    """
    for line, row in read_cells(path):
        try:
            yield _cell(grid, row)
        except KeyError as error:
            raise BadTable(path, 1, f"the header has no column {error}") from error
        except ValueError as error:
            raise BadTable(path, line, str(error)) from error


def _cell(grid: Grid, row: Mapping[str, str]) -> CellFigures:
    """Return a row of ``cells.csv``."""
    names = [name.removesuffix("_tried") for name in row if name.endswith("_tried")]
    further = {
        "labels": tuple(row[name] for name in grid.axes),
        "intrusions": {
            name: Attempts(
                int(row[f"{name}_tried"]),
                int(row[f"{name}_succeeded"]),
                float(row[f"{name}_per_second"]),
            )
            for name in names
            if row[f"{name}_tried"]
        },
    }
    figures = CellFigures.parser(list(row), **further)(list(row.values()))
    if row.get("destroyed"):
        return figures
    none_right = math.isclose(figures.accuracy + figures.final, 0, abs_tol=1e-9)
    return replace(figures, destroyed=none_right)
