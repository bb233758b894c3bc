"""What a grid of experiments shows: a table of all cells, one to read, and a heat map."""

import csv
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedsiege.errors import InvalidValue
from services.simulator import grid_detection
from services.simulator.cell_figures import LAST, CellFigures
from services.simulator.grid import Grid, to_yaml
from services.simulator.results.whole import whole


@dataclass(frozen=True)
class Levels:
    """Where a table says what the attacks know: on the axis that decides it.

    Attributes:
        axis: the number of that axis; None if all attacks know the same, or no axis alone decides.
        of: the level behind each of its labels; empty without an attack.
        common: the level of all attacks, if they know the same.
    """

    axis: int | None
    of: Mapping[str, str]
    common: str = ""

    @classmethod
    def find(cls, grid: Grid, figures: Sequence[CellFigures]) -> "Levels":
        """Find what the levels of the cells go by."""
        all_levels = {one.knowledge for one in figures}
        if len(all_levels) <= 1:
            return cls(None, {}, next(iter(all_levels), ""))
        for number in range(len(grid.axes)):
            of: dict[str, set[str]] = {}
            for one in figures:
                of.setdefault(one.labels[number], set()).add(one.knowledge)
            if all(len(levels) == 1 for levels in of.values()):
                return cls(number, {label: level for label, (level,) in of.items()})
        return cls(None, {})

    @property
    def by_cell(self) -> bool:
        """Whether every cell has to say it for itself."""
        return self.axis is None and not self.common

    def label(self, axis: int, label: str) -> str:
        """Return a label with the level behind it, if its axis decides."""
        level = self.of.get(label, "") if axis == self.axis else ""
        return f"{label} (knowledge {level})" if level else label


def in_order(grid: Grid, figures: Sequence[CellFigures]) -> list[CellFigures]:
    """Return the cells in the order of the grid."""
    place = {cell.labels: number for number, cell in enumerate(grid)}
    return sorted(figures, key=lambda one: place[one.labels])


def write_table(grid: Grid, figures: Sequence[CellFigures], path: Path) -> None:
    """Write all cells as CSV, one row each."""
    tried = sorted({name for one in figures for name in one.intrusions})
    header = [*grid.axes, "accuracy", "final", "lowest", "seconds", "benign", "hostile"]
    header += ["tpr", "fpr", "asr", "knowledge"]
    header += [f"{name}_{what}" for name in tried for what in ("tried", "succeeded", "per_second")]
    with whole(path) as partial, partial.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        for one in in_order(grid, figures):
            numbers = [f"{x:.4f}" for x in (one.accuracy, one.final, one.lowest)]
            row = [*one.labels, *numbers, f"{one.seconds:.1f}", one.benign, one.hostile]
            row += ["" if x is None else f"{x:.4f}" for x in (one.tpr, one.fpr, one.asr)]
            row.append(one.knowledge)
            for name in tried:
                row += one.intrusions.get(name, ("", "", ""))
            table.writerow(row)


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
    attacks = _axis_of_attacks(grid)
    for rest, table in _tables(grid, figures).items():
        if where := _where(grid, rest, levels):
            lines.append(f"\n{where}\n")
        columns = _columns(grid)
        worst = _worst(table, attacks)
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
                text = "" if one is None else f"{100 * one.accuracy:.1f}"
                text = f"**{text}**" if (row, column) in worst else text
                if one is not None and one.asr is not None:
                    text += f" [{100 * one.asr:.0f}]"
                if one is not None and levels.by_cell and one.knowledge:
                    text += f" ({one.knowledge})"
                texts.append(text)
            lines.append(f"| {row} | {' | '.join(texts)} |")
    bold = ""
    if attacks in (0, 1):
        bold = f"; bold: the worst of a {('column', 'row')[attacks]}"
    lines.append(f"\nAccuracy in %, mean of the last {LAST} rounds{bold}.")
    if any(one.asr is not None for one in figures):
        lines.append("In brackets: the attack success rate in %, and the worse of both counts.")
    if levels.common:
        lines.append(f"Knowledge of the attack: {levels.common}.")
    return "\n".join(lines) + "\n"


def _audits(grid: Grid, figures: Sequence[CellFigures]) -> str:
    """Write what the audits found as tables like those of the accuracies; nothing without any."""
    names, lines = list(grid.axes), []
    for rest, table in _tables(grid, figures).items():
        found = {place: grid_detection.audited(one) for place, one in table.items()}
        audited = {column for (_, column), text in found.items() if text}
        if not audited:
            continue
        if where := _where(grid, rest, Levels(None, {})):
            lines += ["", where]
        columns = [column for column in _columns(grid) if column in audited]
        lines += ["", f"| {' | '.join([names[0], *columns])} |", f"|{'---|' * (1 + len(columns))}"]
        for row in grid.axes[names[0]]:
            texts = (found.get((row, column), "") for column in columns)
            lines.append(f"| {' | '.join([row, *texts])} |")
    return "\n".join([*lines, "", grid_detection.LEGEND]) + "\n" if lines else ""


def _columns(grid: Grid) -> list[str]:
    """Return what stands across: the labels of the second axis, or what there is without one."""
    axes = list(grid.axes.values())
    return list(axes[1]) if len(axes) > 1 else ["accuracy"]


def _where(grid: Grid, rest: Sequence[str], levels: Levels) -> str:
    """Say which table this is, by the labels on the axes beyond the second."""
    named = zip(itertools.count(2), list(grid.axes)[2:], rest)
    return ", ".join(f"{name} {levels.label(axis, label)}" for axis, name, label in named)


def _tables(
    grid: Grid, figures: Sequence[CellFigures]
) -> dict[tuple[str, ...], dict[tuple[str, str], CellFigures]]:
    """Return the cells by row and column, for each combination of the other axes."""
    others = itertools.product(*list(grid.axes.values())[2:])
    tables: dict[tuple[str, ...], dict[tuple[str, str], CellFigures]] = {
        tuple(rest): {} for rest in others
    }
    for one in figures:
        row, *more = one.labels
        column = more[0] if more else "accuracy"
        tables[tuple(more[1:])][row, column] = one
    return tables


def _axis_of_attacks(grid: Grid) -> int | None:
    """Return the number of the axis that attacks are on: by their names, or else their strength."""
    for deciding in ({"attack_name"}, {"attack", "scale"}):
        for number, axis in enumerate(grid.axes.values()):
            if any(deciding & settings.keys() for settings in axis.values()):
                return number
    return None


def _worst(
    table: Mapping[tuple[str, str], CellFigures], attacks: int | None
) -> set[tuple[str, str]]:
    """Return the worst cells of each column, or row, where hostile participants took part.

    Args:
        table: the cells by row and column.
        attacks: whether attacks go down, 0, or across, 1; with anything else no cell is worst.
    """
    attacked = {place: one.worth for place, one in table.items() if one.hostile > 0}
    if attacks not in (0, 1):
        return set()
    least: dict[str, float] = {}
    for place, worth in attacked.items():
        against = place[1 - attacks]
        least[against] = min(worth, least.get(against, math.inf))
    return {place for place, worth in attacked.items() if worth == least[place[1 - attacks]]}


def draw(grid: Grid, figures: Sequence[CellFigures], path: Path) -> None:
    """Draw the accuracies as a heat map into a PNG file, a panel for each table.

    Colours are by what an attack leaves, see ``CellFigures.worth``; in brackets its success rate.

    Raises:
        InvalidValue: there is no cell to draw.
    """
    from matplotlib.figure import Figure

    if not figures:
        raise InvalidValue("figures", 0, "at least one cell to draw")
    names, levels = list(grid.axes), Levels.find(grid, figures)
    attacks = _axis_of_attacks(grid)
    rows = list(grid.axes[names[0]])
    columns = _columns(grid)
    tables = _tables(grid, figures)
    height = 1.2 + len(tables) * (1.4 + 0.42 * len(rows))
    figure = Figure(figsize=(3.4 + 0.78 * len(columns), height), dpi=110, layout="constrained")
    title = grid.about or "accuracy"
    title += f"\nknowledge of the attack: {levels.common}" if levels.common else ""
    figure.suptitle(title, fontsize=12, parse_math=False, wrap=True)
    panels = figure.subplots(len(tables), 1, squeeze=False)[:, 0]
    for panel, (rest, table) in zip(panels, tables.items(), strict=True):
        worst = _worst(table, attacks)
        values = [
            [100 * table[r, c].worth if (r, c) in table else math.nan for c in columns]
            for r in rows
        ]
        panel.imshow(values, vmin=0, vmax=100, cmap="RdYlGn", aspect="auto")
        across = [levels.label(1, column) for column in columns]
        down = [levels.label(0, row) for row in rows]
        panel.set_xticks(range(len(columns)), across, rotation=35, ha="right", parse_math=False)
        panel.set_yticks(range(len(rows)), down, parse_math=False)
        panel.tick_params(length=0)
        for (row, column), one in table.items():
            text = f"{100 * one.accuracy:.0f}"
            if one.asr is not None:
                text += f" [{100 * one.asr:.0f}]"
            if levels.by_cell:
                text = f"{text}\n{one.knowledge}".rstrip()
            weight = "bold" if (row, column) in worst else "normal"
            x, y = columns.index(column), rows.index(row)
            panel.text(x, y, text, ha="center", va="center", fontsize=9, weight=weight)
        if rest:
            panel.set_title(_where(grid, rest, levels), parse_math=False)
    with whole(path) as partial:
        figure.savefig(partial, format="png")


def write(grid: Grid, figures: Sequence[CellFigures], out: Path) -> None:
    """Write ``grid.yaml`` with versions, tables and ``heatmap.png``.

    The tables are ``cells.csv``, ``detection.csv`` and, to read, ``table.md``.

    A grid may have been interrupted, and gone on with others: all that computed a cell are named.
    """
    computed = "".join(f"# {one}\n" for one in sorted({one.versions for one in figures}))
    (out / "grid.yaml").write_text(f"{computed}{to_yaml(grid)}")
    write_table(grid, figures, out / "cells.csv")
    grid_detection.write_table(list(grid.axes), in_order(grid, figures), out / "detection.csv")
    (out / "table.md").write_text(markdown(grid, figures) + _audits(grid, figures))
    draw(grid, figures, out / "heatmap.png")
