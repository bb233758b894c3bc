"""The heat map of a grid: everything in it can be read, and its marks are explained in it."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from fedsiege.errors import InvalidValue
from fedsiege.grids import heatmap
from fedsiege.grids.cells import CellFigures
from fedsiege.grids.grid import Grid
from tests.cases import each
from tests.fedsiege.results.plots.lettering import check, texts

LONG_RULE = "norm/duplicate/history/fixed-point/layers"


def grid_of(*sizes: int, about: str = "rules against attacks", label: str = "") -> Grid:
    """Return a grid with axes of so many labels: attacks, rules, and seeds or data."""
    axes = [
        {f"{label}{name} {number}": {setting: value} for number in range(size)}
        for size, (name, setting, value) in zip(
            sizes,
            [
                ("attack", "attack_name", "mpaf"),
                ("rule", "rule", "median"),
                ("data", "dataset", "digits"),
                ("partition", "partition", "iid"),
            ],
            strict=False,
        )
    ]
    names = ["attack", "rule", "data", "partition"]
    return Grid(about, dict(zip(names, axes, strict=False)), {"clients": 5})


def figures_of(grid: Grid, **changes: object) -> list[CellFigures]:
    cells = list(grid)
    return [
        CellFigures(cell.labels, share, share, share, 1.0, 4, 1, {}, **changes)  # type: ignore[arg-type]
        for share, cell in ((place / len(cells), cell) for place, cell in enumerate(cells))
    ]


def said(figure: Figure) -> str:
    return "\n".join(one.get_text() for one in texts(figure))


@pytest.mark.parametrize(
    "label",
    [
        pytest.param("", id="short", marks=pytest.mark.slow),
        pytest.param(f"{LONG_RULE} ", id="long"),
        pytest.param("W" * 60, id="word", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "sizes",
    [
        *((1,), (3, 1), (1, 30), (3, 2, 5)),
        *(pytest.param(sizes, marks=pytest.mark.slow) for sizes in ((25, 4), (4, 3, 2, 3))),
    ],
    ids=str,
)
def test_all_texts_are_inside_and_none_covers_another(sizes: tuple[int, ...], label: str) -> None:
    grid = grid_of(*sizes, label=label, about="rules against attacks, on held-out data, " * 5)
    figures = figures_of(grid, asr=1.0, knowledge="partial", incomplete_rounds=1)
    figures[0] = replace(figures[0], destroyed=True)
    check(heatmap.heatmap(grid, figures))


def test_knowledge_that_differs_by_cell_stands_in_the_cells() -> None:
    grid = grid_of(3, 3)
    figures = [
        replace(one, knowledge=("none", "partial", "")[place % 3 - place // 3])
        for place, one in enumerate(figures_of(grid, asr=0.5))
    ]
    figure = heatmap.heatmap(grid, figures)
    check(figure)
    assert "\npartial" in said(figure)


def test_marks_and_scale_are_explained_in_the_picture() -> None:
    grid = grid_of(2, 2)
    plain = said(heatmap.heatmap(grid, figures_of(grid)))
    for text in ("attack", "rule", "accuracy in %", "bold: the worst of a column"):
        assert text in plain
    for text in ("destroyed", "†", "brackets", "Colour", "White"):
        assert text not in plain
    figures = figures_of(grid, asr=0.98, incomplete_rounds=1)[:3]
    figures[0] = replace(figures[0], destroyed=True)
    marked = said(heatmap.heatmap(grid, figures))
    assert "\n25† [98]\n" in f"\n{marked}\n"
    for text in (
        "destroyed: the outputs",
        "† Some rounds",
        "In brackets",
        "Colour: the accuracy, or 100 minus the attack success rate",
        "White: not run yet, 1 of 4 cells.",
    ):
        assert text in marked


@each("percent", range(101))
def test_figures_stand_out_from_the_colour_of_their_cell(percent: int) -> None:
    colour = colormaps["viridis"](percent / 100)[:3]
    text = to_rgb(heatmap.ink(percent / 100))
    assert heatmap.contrast(colour, text) >= 4.5  # WCAG 2, level AA


def test_a_contrast_is_that_of_its_definition() -> None:
    assert heatmap.contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert heatmap.contrast(to_rgb("#777777"), (1, 1, 1)) == pytest.approx(4.48, abs=0.01)


def test_a_good_cell_is_bright_a_bad_one_dark_and_a_destroyed_one_grey(tmp_path: Path) -> None:
    grid = grid_of(3, 1)
    figures = figures_of(grid)
    shares = [(1.0, None), (0.95, 1.0), (0.1, None)]
    figures = [
        replace(one, accuracy=share, asr=asr)
        for one, (share, asr) in zip(figures, shares, strict=True)
    ]
    figures[2] = replace(figures[2], destroyed=True)
    heatmap.draw(grid, figures, tmp_path / "heatmap.png")
    image = 255 * imread(tmp_path / "heatmap.png")[..., :3]
    colours = {tuple(round(float(x)) for x in pixel) for pixel in image[:, 2 * image.shape[1] // 3]}
    assert {(253, 231, 36), (68, 1, 84), (213, 218, 224)} <= colours


def test_panels_stand_side_by_side_where_there_is_room() -> None:
    for sizes, across in (((4, 3, 2, 3), 3), ((4, 3, 2), 2), ((4, 30, 2), 1)):
        grid = grid_of(*sizes)
        figure = heatmap.heatmap(grid, figures_of(grid))
        figure.draw_without_rendering()
        places = {round(axes.get_position().x0, 3) for axes in figure.axes[:-1]}
        assert len(places) == across


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="at least one cell"):
        heatmap.draw(grid_of(2, 2), [], tmp_path / "heatmap.png")
