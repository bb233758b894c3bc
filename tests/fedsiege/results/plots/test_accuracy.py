"""The picture: it can be drawn whatever happened in the run, and shows what it should."""

import math
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread
from matplotlib.text import Annotation

from fedsiege.errors import InvalidValue
from fedsiege.results import HistoryRow
from fedsiege.results.plots.accuracy import draw_history, history_figure
from tests.fedsiege.results.plots.lettering import check, texts


def history(
    accuracies: list[float],
    losses: list[float],
    success: list[float] | None = None,
    incomplete: Collection[int] = (),
) -> list[HistoryRow]:
    return [
        HistoryRow(
            i,
            a,
            loss,
            100,
            0,
            0.3,
            asr=None if success is None else success[i],
            missing_honest=int(i in incomplete),
        )
        for i, (a, loss) in enumerate(zip(accuracies, losses, strict=True))
    ]


def pixels(path: Path) -> npt.NDArray[np.float32]:
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    return np.asarray(imread(path))[..., :3]


SIEGE = history([0.93, 0.91, 0.74, 0.3, 0.15], [0.2, 0.3, 0.9, 2.0, 2.4])
RISE = [0.1 + 0.85 * (1 - math.exp(-i / 6)) for i in range(40)]
NAN = math.nan

#: Histories of many shapes, by what they are.
SHAPES = {
    "siege": SIEGE,
    "one round": history([0.93], [0.2]),
    "two rounds": history([0.1, 0.95], [2.3, 0.2]),
    "rises": history(RISE, [2.3 - one for one in RISE]),
    "rises steeply": history([0.1, 0.94, *[0.95] * 28], [2.3] * 30),
    "falls": history(RISE[::-1], [0.1] * 40),
    "falls at the end": history([0.95] * 29 + [0.05], [0.1] * 30),
    "dips": history([0.9, 0.9, 0.1, 0.9, 0.9], [0.1] * 5),
    "flat at chance": history([0.1] * 60, [2.3] * 60),
    "flat at the top": history([1.0] * 20, [0.0] * 20),
    "zigzag": history([0.1, 0.95] * 15, [0.1, 1e9] * 15),
    "long": history([0.5 + 0.4 * math.sin(i / 9) for i in range(500)], [1.0] * 500),
    "destroyed": history([0.93, 0.098, 0.0, 0.0], [0.2, math.inf, NAN, NAN]),
    "destroyed from the first": history([0.0, 0.0], [NAN, NAN]),
    "not tested": history([0.1, NAN, 0.4], [2.3, NAN, 1.0]),
    "huge loss": history([0.93, 0.1, 0.1], [0.2, 1e30, 3e38]),
    "extremes": history([1.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
    "backdoor": history([0.93, 0.92, 0.93, 0.94], [0.1] * 4, [0.1, 0.5, 0.97, 0.935], {1, 3}),
    "incomplete": history(RISE, [1.0] * 40, incomplete=range(1, 40)),
}
LONG = "mpaf:scale=1000, 20% hostile, knowledge none · "


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_are_inside_and_cover_neither_one_another_nor_the_line(shape: str) -> None:
    figure = history_figure(SHAPES[shape], "lenet5 on mnist", LONG, class_samples=[1000] * 10)
    check(figure)
    axes = figure.axes[0]
    lines = [one for one in axes.get_lines() if one.get_transform() == axes.transData]
    labels = [box for one, box in texts(figure).items() if isinstance(one, Annotation)]
    assert bool(labels) == (shape != "destroyed from the first")
    if shape in ("zigzag", "long"):
        return  # the line is everywhere
    for box in labels:
        for line in lines:
            path = axes.transData.transform_path(line.get_path())
            assert not path.intersects_bbox(box, filled=False)


@pytest.mark.parametrize("shape", ["destroyed", "backdoor", "rises"])
@pytest.mark.parametrize(
    ("title", "subtitle"),
    [("W" * 100, LONG * 9), ("a name " * 14, "x" * 900), ("", "")],
    ids=["long", "longest", "none"],
)
def test_long_titles_and_keys_stay_inside(shape: str, title: str, subtitle: str) -> None:
    check(history_figure(SHAPES[shape], title, subtitle, class_samples=(95, 5)))


@pytest.mark.parametrize("length", range(100, 180, 10))
def test_a_subtitle_is_made_smaller_before_it_is_broken(length: int) -> None:
    figure = history_figure(SHAPES["siege"], "net on mnist", ("mpaf, 20% hostile · " * 20)[:length])
    (subtitle,) = (one for one in figure.texts if one.get_text().startswith("mpaf"))
    assert "\n" not in subtitle.get_text()
    assert subtitle.get_fontsize() >= 8.5


def said(rows: list[HistoryRow], samples: tuple[int, ...] = ()) -> list[str]:
    """Return what is written in the picture of a history."""
    return [one.get_text() for one in texts(history_figure(rows, "", "", class_samples=samples))]


@pytest.mark.parametrize(
    ("samples", "levels"),
    [
        ((100,) * 10, ["random guessing among 10 classes: 10%"]),
        ((980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009), ["10 classes: 10%"]),  # MNIST
        ((50, 50), ["random guessing among 2 classes: 50%"]),
        ((95, 5), ["among 2 classes: 50%", "always the commonest class: 95%"]),
        ((100,) * 62, ["random guessing among 62 classes: 1.61%"]),
        ((), []),
    ],
    ids=["ten", "mnist", "two", "rare", "many", "unknown"],
)
def test_what_guessing_reaches_is_that_of_the_data(
    samples: tuple[int, ...], levels: list[str]
) -> None:
    told = [one for one in said(SIEGE, samples) if "guessing" in one or "always" in one]
    assert len(told) == len(levels)
    assert all(level in one for level, one in zip(levels, told, strict=True))


def test_a_destroyed_model_has_no_accuracy() -> None:
    told = said(SHAPES["destroyed"])
    assert any(one.startswith("destroyed") for one in told)
    assert "9.8%" in told, "the last that could be measured"
    assert "0.0%" not in told
    assert "loss infinite" in told
    (line,) = (
        one
        for one in history_figure(SHAPES["destroyed"], "", "").axes[0].get_lines()
        if one.get_label() == "accuracy"
    )
    assert np.isnan(np.asarray(line.get_ydata(), float)).tolist() == [False, False, True, True]
    assert not any(one.startswith("destroyed") for one in said(SIEGE))


def test_rounds_without_all_honest_updates_are_marked() -> None:
    told = said(SHAPES["backdoor"])
    assert "closed without all honest updates: 2 of 3 rounds" in told
    assert "attack success rate" in told
    assert not any("honest" in one or "success" in one for one in said(SIEGE))


@pytest.mark.parametrize(
    "shape",
    [
        "siege",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("one round", "flat at chance")),
        *("destroyed", "huge loss", "extremes"),
    ],
)
def test_every_run_gets_its_picture(tmp_path: Path, shape: str) -> None:
    draw_history(SHAPES[shape], tmp_path / "a.png", "$\\title$", "λ = 1 · $\\frac$ a_b^c")
    image = pixels(tmp_path / "a.png")
    assert image.shape == (700, 1200, 3)
    assert image.std() > 0.02  # not an empty sheet


def test_the_line_follows_the_accuracy(tmp_path: Path) -> None:
    heights = []
    for accuracy in (0.9, 0.3):
        draw_history(history([accuracy] * 3, [1.0] * 3), tmp_path / "a.png", "", "")
        blue = np.abs(pixels(tmp_path / "a.png") - np.array([0x1D, 0x5F, 0xA8]) / 255).max(2) < 0.02
        # the only rows that are blue over most of the width are those of the line
        heights.append(np.flatnonzero(blue.sum(1) > 800).mean())
    assert 200 < heights[1] - heights[0] < 230  # 60 of 104 percent of 370 pixels


def test_a_long_subtitle_stays_within_the_picture(tmp_path: Path) -> None:
    draw_history(SIEGE, tmp_path / "a.png", "title", "mpaf, 20% hostile, knowledge none · " * 5)
    top = imread(tmp_path / "a.png")[60:85, :, :3]
    assert (top < 0.8).any(), "there is a subtitle"
    assert (top[:, -50:] == 1).all(), "and it ends before the margin"


def test_equal_runs_make_equal_pictures(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_history(SIEGE, tmp_path / name, "title", "subtitle")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="at least one round"):
        draw_history([], tmp_path / "a.png", "title", "subtitle")


def test_the_screen_and_the_results_wait_for_neither_matplotlib_torch_nor_grpc() -> None:
    code = (
        "import sys, fedsiege.cli.screen, fedsiege.results,"
        "fedsiege.results.plots.accuracy, fedsiege.results.plots.recall, fedsiege.cli.show,"
        "fedsiege.experiment.hostile, fedsiege.metrics, fedsiege.experiment.spec;"
        "print({'torch', 'grpc', 'matplotlib'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
