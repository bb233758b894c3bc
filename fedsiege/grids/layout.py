"""The layout of a grid: tables of two axes, one for each combination of the other axes.

``table.md`` and the heat map show the same cells in the same places, with the same remarks.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedsiege.grids.cells import LAST, CellFigures
from fedsiege.grids.grid import Grid

#: The mark of a cell in which rounds closed without all updates of honest participants.
INCOMPLETE = "†"
#: Shown in place of the accuracy of a destroyed model.
DESTROYED = "destroyed"


@dataclass(frozen=True)
class Levels:
    """Where a table shows the knowledge of the attacks: at the axis that decides it.

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
        """Find the axis that decides the levels of the cells."""
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
        """Whether every cell has to show its level."""
        return self.axis is None and not self.common

    def label(self, axis: int, label: str) -> str:
        """Return a label with the level behind it, if its axis decides."""
        level = self.of.get(label, "") if axis == self.axis else ""
        return f"{label} (knowledge {level})" if level else label


def columns(grid: Grid) -> list[str]:
    """Return the headings of the columns: the labels of the second axis, or ``accuracy``."""
    axes = list(grid.axes.values())
    return list(axes[1]) if len(axes) > 1 else ["accuracy"]


def where(grid: Grid, rest: Sequence[str], levels: Levels) -> str:
    """Return the title of a table: its labels on the axes beyond the second."""
    named = zip(itertools.count(2), list(grid.axes)[2:], rest)
    return ", ".join(f"{name} {levels.label(axis, label)}" for axis, name, label in named)


def tables(
    grid: Grid, figures: Sequence[CellFigures]
) -> dict[tuple[str, ...], dict[tuple[str, str], CellFigures]]:
    """Return the cells by row and column, for each combination of the other axes."""
    others = itertools.product(*list(grid.axes.values())[2:])
    found: dict[tuple[str, ...], dict[tuple[str, str], CellFigures]] = {
        tuple(rest): {} for rest in others
    }
    for one in figures:
        row, *more = one.labels
        column = more[0] if more else "accuracy"
        found[tuple(more[1:])][row, column] = one
    return found


def axis_of_attacks(grid: Grid) -> int | None:
    """Return the number of the axis that attacks are on: by their names, or else their strength."""
    for deciding in ({"attack_name"}, {"attack", "scale"}):
        for number, axis in enumerate(grid.axes.values()):
            if any(deciding & settings.keys() for settings in axis.values()):
                return number
    return None


def worst(
    table: Mapping[tuple[str, str], CellFigures], attacks: int | None
) -> set[tuple[str, str]]:
    """Return the worst cells of each column, or row, where hostile participants took part.

    Args:
        table: the cells by row and column.
        attacks: whether attacks go down, 0, or across, 1; with anything else no cell is worst.
    """
    attacked = {
        place: one.worth
        for place, one in table.items()
        if one.hostile > 0 and math.isfinite(one.worth)
    }
    if attacks not in (0, 1):
        return set()
    least: dict[str, float] = {}
    for place, worth in attacked.items():
        against = place[1 - attacks]
        least[against] = min(worth, least.get(against, math.inf))
    return {place for place, worth in attacked.items() if worth == least[place[1 - attacks]]}


def accuracy(cell: CellFigures, digits: int) -> str:
    """Return the accuracy of a cell in percent as text, or why there is none."""
    if cell.destroyed:
        return DESTROYED
    return f"{100 * cell.accuracy:.{digits}f}" if math.isfinite(cell.accuracy) else "not tested"


def remarks(cell: CellFigures) -> str:
    """Return what follows the accuracy of a cell: its mark, and the success rate in percent.

    A destroyed model does nothing for the attacker's trigger, and has no success rate.
    """
    mark = INCOMPLETE if cell.incomplete_rounds else ""
    success = "" if cell.asr is None or cell.destroyed else f" [{100 * cell.asr:.0f}]"
    return mark + success


def describe(cell: CellFigures) -> str:
    """Return the result of a cell as one line for the screen."""
    percent = "" if cell.destroyed or not math.isfinite(cell.accuracy) else "%"
    text = f"accuracy {accuracy(cell, 1)}{percent}"
    if cell.asr is not None and not cell.destroyed:
        text += f", attack success {cell.asr:.1%}"
    if cell.incomplete_rounds:
        text += f", {cell.incomplete_rounds} rounds closed without all honest updates"
    return text


def legend(grid: Grid, figures: Sequence[CellFigures]) -> list[str]:
    """Return what explains the cells, line by line."""
    attacks = axis_of_attacks(grid)
    bold = f"; bold: the worst of a {('column', 'row')[attacks]}" if attacks in (0, 1) else ""
    lines = [f"Accuracy in %, mean of the last {LAST} rounds{bold}."]
    if any(one.asr is not None for one in figures):
        lines.append("In brackets: the attack success rate in %, and the worse of both counts.")
    if any(one.destroyed for one in figures):
        lines.append(
            f"{DESTROYED}: the outputs of the model are NaN. Programs that take these for class 0 "
            "print its share of the test there, 9.8 on MNIST."
        )
    if any(one.incomplete_rounds for one in figures):
        lines.append(
            f"{INCOMPLETE} Some rounds were closed without all honest updates, so that the attack "
            "had more than its share; cells.csv says how many."
        )
    if common := Levels.find(grid, figures).common:
        lines.append(f"Knowledge of the attack: {common}.")
    return lines
