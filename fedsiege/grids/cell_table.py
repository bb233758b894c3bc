"""``cells.csv``: all cells of a grid, one row each."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from fedsiege.grids.cell import CellFigures
from fedsiege.grids.grid import Grid
from fedsiege.results.atomic import whole
from fedsiege.results.run import table_rows

_ATTEMPTS = ("tried", "succeeded", "per_second")


def in_order(grid: Grid, figures: Sequence[CellFigures]) -> list[CellFigures]:
    """Return the cells in the order of the grid."""
    place = {cell.labels: number for number, cell in enumerate(grid)}
    return sorted(figures, key=lambda one: place[one.labels])


def write_cells(grid: Grid, figures: Sequence[CellFigures], path: Path) -> None:
    """Write all cells as CSV, one row each."""
    tried = sorted({name for one in figures for name in one.intrusions})
    header = [*grid.axes, "accuracy", "final", "lowest", "seconds", "benign", "hostile"]
    header += ["tpr", "fpr", "asr", "knowledge", "incomplete_rounds", "destroyed"]
    header += [f"{name}_{what}" for name in tried for what in _ATTEMPTS]
    with whole(path) as partial, partial.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        for one in in_order(grid, figures):
            numbers = [f"{x:.4f}" for x in (one.accuracy, one.final, one.lowest)]
            row = [*one.labels, *numbers, f"{one.seconds:.1f}", one.benign, one.hostile]
            row += ["" if x is None else f"{x:.4f}" for x in (one.tpr, one.fpr, one.asr)]
            incomplete = "" if one.incomplete_rounds is None else one.incomplete_rounds
            row += [one.knowledge, incomplete, str(one.destroyed).lower()]
            for name in tried:
                row += one.intrusions.get(name, ("", "", ""))
            table.writerow(row)


def read_cells(grid: Grid, path: Path) -> Iterator[CellFigures]:
    """Read what ``write_cells`` wrote, of this version or an older one; without the detectors.

    Older tables do not say which models were destroyed. An accuracy of exactly 0 does: a model
    whose outputs are numbers is right now and then, if only by chance.
    """
    end = f"_{_ATTEMPTS[0]}"
    for row in table_rows(path):
        accuracy, final, lowest = (float(row[name]) for name in ("accuracy", "final", "lowest"))
        tpr, fpr, asr = (
            float(row[name]) if row.get(name) else None for name in ("tpr", "fpr", "asr")
        )
        none_right = math.isclose(accuracy + final, 0, abs_tol=1e-9)
        yield CellFigures(
            tuple(row[name] for name in grid.axes),
            accuracy,
            final,
            lowest,
            float(row["seconds"]),
            int(row["benign"]),
            int(row["hostile"]),
            {
                name.removesuffix(end): (
                    int(value),
                    int(row[name.removesuffix(end) + "_succeeded"]),
                    float(row[name.removesuffix(end) + "_per_second"]),
                )
                for name, value in row.items()
                if name.endswith(end) and value
            },
            tpr,
            fpr,
            asr,
            row.get("knowledge") or "",
            incomplete_rounds=(
                int(row["incomplete_rounds"]) if row.get("incomplete_rounds") else None
            ),
            destroyed=row["destroyed"] == "true" if row.get("destroyed") else none_right,
        )
