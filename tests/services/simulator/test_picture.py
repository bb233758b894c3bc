"""The picture: it can be drawn whatever happened in the run, and shows what it should."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

from fedsiege.errors import InvalidValue
from services.simulator.picture import draw_history
from services.simulator.results import HistoryRow


def history(accuracies: list[float], losses: list[float]) -> list[HistoryRow]:
    return [
        HistoryRow(i, a, loss, 100, 0, 0.3)
        for i, (a, loss) in enumerate(zip(accuracies, losses, strict=True))
    ]


def pixels(path: Path) -> npt.NDArray[np.float32]:
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    return np.asarray(imread(path))[..., :3]


SIEGE = history([0.93, 0.91, 0.74, 0.3, 0.15], [0.2, 0.3, 0.9, 2.0, 2.4])


@pytest.mark.parametrize(
    "rows",
    [
        SIEGE,
        history([0.93], [0.2]),
        history([0.93, 0.098, 0.098], [0.2, math.inf, math.nan]),
        history([0.1, 0.098], [math.nan, math.nan]),
        history([0.93, 0.1, 0.1], [0.2, 1e30, 3e38]),
        history([1.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
        history([0.1] * 60, [2.3] * 60),
    ],
    ids=["siege", "one", "not finite", "never finite", "huge", "extremes", "long"],
)
def test_every_run_gets_its_picture(tmp_path: Path, rows: list[HistoryRow]) -> None:
    draw_history(rows, tmp_path / "a.png", "$\\title$", "λ = 1 · $\\frac$ a_b^c")
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
        "import sys, services.simulator.screen, services.simulator.results,"
        "services.simulator.picture, services.simulator.recall_picture, services.simulator.show,"
        "fedsiege.cadence, fedsiege.metrics, fedsiege.spec;"
        "print({'torch', 'grpc', 'matplotlib'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
