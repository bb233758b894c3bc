"""The files of a grid: ``grid.yaml``, tables for programs and people, and a heat map.

``python -m fedsiege.grids.report FOLDER...`` draws ``heatmap.png`` again, from ``grid.yaml`` and
``cells.csv`` alone. ``table.md`` stays as it is: its figures come from the runs, and those of
``cells.csv`` are rounded.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from fedsiege.atomic import write_file
from fedsiege.grids import heatmap, layout
from fedsiege.grids.cells import CellFigures, read_figures, write_cells, write_detection
from fedsiege.grids.grid import Grid, to_yaml
from fedsiege.grids.layout import Levels
from fedsiege.results.detection import AUDIT, NO_DETECTORS

LEGEND = (
    "What the audit found: TPR / FPR in %, mean over the rounds; in brackets the ROC-AUC of its "
    "detector."
)


def markdown(grid: Grid, figures: Sequence[CellFigures]) -> str:
    """Return the accuracies as Markdown tables: the first axis down, the second across.

    Where attacks are compared, the worst case of each rule is in bold; the success rate of an
    attack with a target counts. With more than two axes there is one table for each combination of
    the others. The attack's knowledge is shown in a column or a row of its own, above a table,
    below all tables or in every cell, depending on the axis that decides it.
    """
    lines = [f"{grid.about}\n"] if grid.about else []
    names, levels = list(grid.axes), Levels.find(grid, figures)
    attacks = layout.axis_of_attacks(grid)
    for rest, table in layout.tables(grid, figures).items():
        if where := layout.where(grid, rest, levels):
            lines.append(f"\n{where}\n")
        columns = layout.columns(grid)
        worst = layout.worst(table, attacks)
        heads = [names[0], *(["knowledge"] if levels.axis == 0 else []), *columns]
        lines.append(f"| {' | '.join(heads)} |")
        lines.append(f"|{'---|' * len(heads)}")
        if levels.axis == 1:
            known = (levels.of.get(column, "") for column in columns)
            lines.append(f"| *knowledge* | {' | '.join(known)} |")
        for row in grid.axes[names[0]]:
            texts = [levels.of.get(row, "")] if levels.axis == 0 else []
            for column in columns:
                one = table.get((row, column))
                text = "" if one is None else layout.accuracy(one, 1)
                text = f"**{text}**" if (row, column) in worst else text
                text += "" if one is None else layout.remarks(one)
                if one is not None and levels.by_cell and one.knowledge:
                    text += f" ({one.knowledge})"
                texts.append(text)
            lines.append(f"| {row} | {' | '.join(texts)} |")
    lines += ["", *layout.legend(grid, figures)]
    return "\n".join(lines) + "\n"


def audited(cell: CellFigures) -> str:
    """Return what the audit of a cell found: TPR / FPR in %, and the ROC-AUC of a single detector.

    Returns:
        Such as ``100 / 0.4 (1.00)``; empty without an audit.
    """
    by_name = {one.detector: one for one in cell.detectors}
    if AUDIT not in by_name:
        return ""
    worth = by_name[AUDIT].worth
    text = " / ".join(
        "-" if share is None else f"{100 * share:.{digits}f}"
        for share, digits in ((worth.tpr, 0), (worth.fpr, 1))
    )
    single = [one for name, one in by_name.items() if name not in NO_DETECTORS]
    if len(single) == 1 and single[0].worth.auc is not None:
        text += f" ({single[0].worth.auc:.2f})"
    return text


def _audits(grid: Grid, figures: Sequence[CellFigures]) -> str:
    """Return what the audits found as tables like those of the accuracies; empty without any."""
    names, lines = list(grid.axes), []
    for rest, table in layout.tables(grid, figures).items():
        found = {place: audited(one) for place, one in table.items()}
        with_audit = {column for (_, column), text in found.items() if text}
        if not with_audit:
            continue
        if where := layout.where(grid, rest, Levels(None, {})):
            lines += ["", where]
        columns = [column for column in layout.columns(grid) if column in with_audit]
        lines += ["", f"| {' | '.join([names[0], *columns])} |", f"|{'---|' * (1 + len(columns))}"]
        for row in grid.axes[names[0]]:
            texts = (found.get((row, column), "") for column in columns)
            lines.append(f"| {' | '.join([row, *texts])} |")
    return "\n".join([*lines, "", LEGEND]) + "\n" if lines else ""


def write(grid: Grid, figures: Sequence[CellFigures], out: Path) -> None:
    """Write all files of a grid.

    The versions that computed a cell are comments in ``grid.yaml``; a grid that was interrupted may
    have gone on with others.
    """
    computed = "".join(f"# {one}\n" for one in sorted({one.versions for one in figures}))
    write_file(out / "grid.yaml", f"{computed}{to_yaml(grid)}".encode())
    write_cells(grid, figures, out / "cells.csv")
    write_detection(grid, figures, out / "detection.csv")
    table = markdown(grid, figures) + _audits(grid, figures)
    write_file(out / "table.md", table.encode())
    heatmap.draw(grid, figures, out / "heatmap.png")


def redraw(folder: Path) -> None:
    """Draw the heat map of the grid in a folder again."""
    grid = Grid.from_yaml((folder / "grid.yaml").read_text())
    figures = list(read_figures(grid, folder / "cells.csv"))
    heatmap.draw(grid, figures, folder / "heatmap.png")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        redraw(Path(name))
