"""What a grid of experiments shows: a table of all cells, one to read, and a heat map."""

from collections.abc import Sequence
from pathlib import Path

from fedsiege.grids import cell_table, detection, heatmap, layout
from fedsiege.grids.cell import CellFigures
from fedsiege.grids.grid import Grid, to_yaml
from fedsiege.grids.layout import Levels
from fedsiege.results.atomic import write_whole


def markdown(grid: Grid, figures: Sequence[CellFigures]) -> str:
    """Write the accuracies as tables: the first axis down, the second across.

    Where attacks are compared, the worst for each that they are set against is in bold: a rule is
    as good as its worst case. An attack with a target is as bad as its success rate. With more
    axes there is one table for each combination of the others. What the attack knows stands beside
    it, wherever that is: in a column or a line of its own, above a table, below all or in every
    cell.
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


def _audits(grid: Grid, figures: Sequence[CellFigures]) -> str:
    """Write what the audits found as tables like those of the accuracies; nothing without any."""
    names, lines = list(grid.axes), []
    for rest, table in layout.tables(grid, figures).items():
        found = {place: detection.audited(one) for place, one in table.items()}
        audited = {column for (_, column), text in found.items() if text}
        if not audited:
            continue
        if where := layout.where(grid, rest, Levels(None, {})):
            lines += ["", where]
        columns = [column for column in layout.columns(grid) if column in audited]
        lines += ["", f"| {' | '.join([names[0], *columns])} |", f"|{'---|' * (1 + len(columns))}"]
        for row in grid.axes[names[0]]:
            texts = (found.get((row, column), "") for column in columns)
            lines.append(f"| {' | '.join([row, *texts])} |")
    return "\n".join([*lines, "", detection.LEGEND]) + "\n" if lines else ""


def write(grid: Grid, figures: Sequence[CellFigures], out: Path) -> None:
    """Write ``grid.yaml`` with versions, tables and ``heatmap.png``.

    The tables are ``cells.csv``, ``detection.csv`` and, to read, ``table.md``.

    A grid may have been interrupted, and gone on with others: all that computed a cell are named.
    """
    computed = "".join(f"# {one}\n" for one in sorted({one.versions for one in figures}))
    write_whole(out / "grid.yaml", f"{computed}{to_yaml(grid)}".encode())
    cell_table.write_cells(grid, figures, out / "cells.csv")
    detection.write_table(
        list(grid.axes), cell_table.in_order(grid, figures), out / "detection.csv"
    )
    table = markdown(grid, figures) + _audits(grid, figures)
    write_whole(out / "table.md", table.encode())
    heatmap.draw(grid, figures, out / "heatmap.png")
