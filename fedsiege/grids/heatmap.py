"""The heat map of a grid: the accuracies of ``table.md`` as colours, a panel for each table."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fedsiege.atomic import atomic_path
from fedsiege.errors import InvalidValue
from fedsiege.grids import layout
from fedsiege.grids.cells import CellFigures
from fedsiege.grids.grid import Grid
from fedsiege.grids.layout import Levels
from fedsiege.results.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

#: From dark blue to yellow: readable without telling red from green, and in grey.
_COLOURS = "viridis"
#: The colour of a destroyed model, which has no accuracy.
_GREY = "#d5dae0"
#: Width and height of a cell in inches, and its height where it shows the knowledge.
_WIDTH, _HEIGHT, _HIGHER = 0.68, 0.34, 0.46
#: Height of a line of text.
_LINE = 0.18
#: Least width of a panel in inches, for its title.
_NARROWEST = 2.2
#: Degrees by which the labels of the columns are turned.
_SLANT = 35
#: Panels stand side by side up to so many inches.
_WIDEST = 18.0
#: Labels that are longer are broken: those of the columns, those of the rows.
_ACROSS, _DOWN = 26, 44
#: In brackets is the success rate, and colours go by the worse of both.
_BOTH = "Colour: the accuracy, or 100 minus the attack success rate where that is lower."


def draw(grid: Grid, figures: Sequence[CellFigures], path: Path) -> None:
    """Draw the accuracies as a heat map into a PNG file, a panel for each table.

    Colours are by what an attack leaves, see ``CellFigures.worth``; in brackets its success rate.

    Raises:
        InvalidValue: there is no cell to draw.
    """
    figure = heatmap(grid, figures)
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format="png")


def heatmap(grid: Grid, figures: Sequence[CellFigures]) -> "Figure":
    """Return what ``draw`` draws, as a figure."""
    if not figures:
        raise InvalidValue("figures", 0, "at least one cell to draw")
    names, levels = list(grid.axes), Levels.find(grid, figures)
    attacks = layout.axis_of_attacks(grid)
    tables = layout.tables(grid, figures)
    rows, columns = list(grid.axes[names[0]]), layout.columns(grid)
    down = [_wrapped(levels.label(0, row), _DOWN) for row in rows]
    across = [_wrapped(levels.label(1, column), _ACROSS) for column in columns]
    wide = max(_NARROWEST, _WIDTH * len(columns))
    above = [
        "\n".join(canvas.broken(layout.where(grid, rest, levels), wide, 6, _title_inches))
        for rest in tables
    ]

    width = 0.7 + max(map(_label_inches, down)) + wide
    height = 0.9 + math.sin(math.radians(_SLANT)) * max(map(_label_inches, across))
    height += _LINE * (_most_lines(above) + _most_lines(across))
    cell = _HIGHER if levels.by_cell else _HEIGHT
    height += len(rows) * max(cell, _LINE * (_most_lines(down) + 0.5))
    abreast = _abreast(grid, len(tables), width)
    high = -(-len(tables) // abreast)
    figure = canvas.canvas(max(6.5, 1.0 + abreast * width), 1.0)
    lines = _write_around(figure, grid, figures)
    figure.set_figheight(0.5 + _LINE * lines + high * height)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    panels = figure.subplots(high, abreast, squeeze=False).ravel()
    for panel in panels[len(tables) :]:
        panel.remove()
    for panel, table, title in zip(panels, tables.values(), above, strict=False):
        image = _colour(panel, rows, columns, table)
        _write(panel, rows, columns, table, layout.worst(table, attacks), levels)
        panel.set_xticks(
            range(len(columns)),
            across,
            parse_math=False,
            rotation=_SLANT,
            ha="right",
            rotation_mode="anchor",  # it ends below its column
        )
        panel.set_yticks(range(len(rows)), down, parse_math=False)
        panel.set_ylabel(names[0], size=11, color=canvas.INK, parse_math=False)
        if len(names) > 1:
            panel.set_xlabel(names[1], size=11, color=canvas.INK, parse_math=False)
        panel.set_title(title, size=11, color=canvas.INK, parse_math=False)
    bar = figure.colorbar(image, ax=list(panels[: len(tables)]), pad=0.01, aspect=5 * high * height)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=9, labelcolor=canvas.QUIET)
    bar.set_label("accuracy in %", size=11, color=canvas.INK)
    return figure


def _abreast(grid: Grid, count: int, width: float) -> int:
    """Return how many panels stand side by side: if they can, those along the last axis."""
    room = min(count, max(1, int((_WIDEST - 1.0) / width)))
    last = len(list(grid.axes.values())[-1])
    return last if 1 < last <= room and count > last else room


def _wrapped(label: str, longest: int) -> str:
    """Break a long label at slashes and spaces, or else inside a word."""
    lines = textwrap.wrap(label.replace("/", "/\0 "), longest, break_on_hyphens=False)
    return "\n".join(lines).replace("/\0 ", "/").replace("\0", "")


def _most_lines(texts: Sequence[str]) -> int:
    return max(text.count("\n") + 1 for text in texts)


def _inches(size: float, text: str) -> float:
    """Return how wide a text is."""
    scratch = canvas.canvas(1, 1)
    drawn = scratch.text(0, 0, text, size=size, parse_math=False)
    return drawn.get_window_extent(canvas.renderer(scratch)).width / scratch.dpi


_label_inches = partial(_inches, 9.0)
_title_inches = partial(_inches, 11.0)


def _colour(
    panel: "Axes",
    rows: Sequence[str],
    columns: Sequence[str],
    table: Mapping[tuple[str, str], CellFigures],
) -> "AxesImage":
    """Colour the cells of a panel; those that have not run are left white."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    def percent(cell: CellFigures | None) -> float:
        return math.nan if cell is None or cell.destroyed else 100 * cell.worth

    image = panel.imshow(
        [[percent(table.get((row, column))) for column in columns] for row in rows],
        vmin=0,
        vmax=100,
        cmap=colormaps[_COLOURS],
        aspect="auto",
    )
    for (row, column), cell in table.items():
        if cell.destroyed:
            corner = columns.index(column) - 0.5, rows.index(row) - 0.5
            panel.add_patch(Rectangle(corner, 1, 1, facecolor=_GREY, linewidth=0))
    panel.set_xticks([place - 0.5 for place in range(1, len(columns))], minor=True)
    panel.set_yticks([place - 0.5 for place in range(1, len(rows))], minor=True)
    panel.grid(which="minor", color="white", linewidth=1.2)
    panel.tick_params(which="both", length=0, labelsize=9, labelcolor=canvas.INK)
    panel.spines[:].set_visible(False)
    return image


def _write(
    panel: "Axes",
    rows: Sequence[str],
    columns: Sequence[str],
    table: Mapping[tuple[str, str], CellFigures],
    worst: set[tuple[str, str]],
    levels: Levels,
) -> None:
    """Write the figures into the cells of a panel."""
    for (row, column), cell in table.items():
        text = layout.accuracy(cell, 0) + layout.remarks(cell)
        if levels.by_cell:
            text = f"{text}\n{cell.knowledge}".rstrip()
        panel.text(
            columns.index(column),
            rows.index(row),
            text,
            ha="center",
            va="center",
            size=7.5 if cell.destroyed else 9,
            weight="bold" if (row, column) in worst else "normal",
            color=ink(_GREY if cell.destroyed else cell.worth),
        )


def ink(cell: "float | str") -> str:
    """Return black or white, whichever is clearer on a cell: its colour, or its share, 0 to 1."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    rgb = to_rgb(cell) if isinstance(cell, str) else colormaps[_COLOURS](cell)[:3]
    return "black" if contrast(rgb, (0, 0, 0)) > contrast(rgb, (1, 1, 1)) else "white"


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the contrast of two colours, 1 to 21, as WCAG 2 defines it."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(rgb: Sequence[float]) -> float:
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in rgb]
    return sum(weight * x for weight, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _write_around(figure: "Figure", grid: Grid, figures: Sequence[CellFigures]) -> int:
    """Write what the grid is about above the panels, and what its marks mean below them.

    Returns:
        How many lines that took.
    """
    room = figure.bbox.width - 30
    title = figure.suptitle("", size=13, weight="bold", color=canvas.INK, parse_math=False)
    lines = layout.legend(grid, figures)
    if any(one.asr is not None for one in figures):
        lines.append(_BOTH)
    if len(figures) < len(grid):
        lines.append(f"White: not run yet, {len(grid) - len(figures)} of {len(grid)} cells.")
    below = figure.supxlabel(
        "", x=15 / figure.bbox.width, ha="left", size=9.5, color=canvas.INK, parse_math=False
    )
    for text, parts in ((title, [grid.about or "Accuracy"]), (below, lines)):
        wide = partial(_width, figure, text)
        broken = [line for part in parts for line in canvas.broken(part, room, 6, wide)]
        text.set_text("\n".join(broken))
    return sum(text.get_text().count("\n") + 1 for text in (title, below))


def _width(figure: "Figure", text: "Text", line: str) -> float:
    """Return how many pixels wide a line of a text would be; the text is overwritten."""
    text.set_text(line)
    return text.get_window_extent(canvas.renderer(figure)).width
