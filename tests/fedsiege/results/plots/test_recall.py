"""The heat map of the classes: it can be drawn whatever happened, and shows what it should."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from fedsiege.errors import InvalidValue
from fedsiege.results.plots.recall import draw_recall, recall_figure
from tests.fedsiege.results.plots.lettering import check, texts

GOOD, BAD = (253, 231, 37), (68, 1, 84)  # the ends of the scale
GREY = (213, 218, 224)

Recall = dict[int, list[float | None]]


@pytest.mark.parametrize(
    "recall",
    [
        {0: [1.0, 0.5, 0.0], 1: [0.0, None, 1.0]},
        {0: [0.5]},
        {0: [None, None]},
        {number: [0.9] * 10 for number in range(300)},
    ],
    ids=["siege", "one", "no samples", "long"],
)
def test_every_run_gets_its_picture(tmp_path: Path, recall: dict[int, list[float | None]]) -> None:
    for name in ("a.png", "b.png"):
        draw_recall(recall, tmp_path / name, "$\\title$", "λ = 1 · $\\frac$ a_b^c")
    assert imread(tmp_path / "a.png").shape[:2] == (500, 1200)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_classes_go_up_and_rounds_to_the_right(tmp_path: Path) -> None:
    draw_recall({3: [1.0, 0.0], 4: [0.0, 1.0]}, tmp_path / "a.png", "", "")
    image = 255 * imread(tmp_path / "a.png")[..., :3]
    upper, lower, left, right = 180, 360, 300, 800
    np.testing.assert_allclose(image[lower, left], GOOD, atol=2, err_msg="class 0 in round 3")
    np.testing.assert_allclose(image[upper, left], BAD, atol=2)
    np.testing.assert_allclose(image[lower, right], BAD, atol=2)
    np.testing.assert_allclose(image[upper, right], GOOD, atol=2)


SHAPES: dict[str, Recall] = {
    "siege": {0: [1.0, 0.5, 0.0], 1: [0.0, None, 1.0]},
    "one": {0: [0.5]},
    "no samples": {0: [None, None]},
    "long": {number: [0.9] * 10 for number in range(500)},
    "many classes": {number: [0.9] * 62 for number in range(3)},
}


@pytest.mark.parametrize("title", ["lenet5 on mnist", "W" * 100], ids=["short", "long"])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_texts_are_inside_and_none_covers_another(shape: str, title: str) -> None:
    rounds = list(SHAPES[shape])
    figure = recall_figure(
        SHAPES[shape], title, "mpaf · fedavg · " * 9, incomplete=rounds[1:], destroyed=rounds[-1:]
    )
    check(figure)
    assert "recall of the class" in [one.get_text() for one in texts(figure)]


def test_what_cannot_be_told_is_grey_and_explained(tmp_path: Path) -> None:
    recall: Recall = {0: [1.0, 1.0], 1: [0.0, 0.0], 2: [1.0, None]}
    draw_recall(recall, tmp_path / "a.png", "", "", destroyed={1})
    image = 255 * imread(tmp_path / "a.png")[..., :3]
    upper, lower, middle, right = 180, 360, 570, 900
    for place in ((upper, middle), (lower, middle), (upper, right)):
        np.testing.assert_allclose(image[place], GREY, atol=2)
    np.testing.assert_allclose(image[lower, right], GOOD, atol=2)
    assert any("destroyed" in one and "no samples" in one for one in _said(recall, destroyed={1}))
    assert not any("destroyed" in one for one in _said({0: [1.0]}))


def test_rounds_without_all_honest_updates_are_marked_above_the_map() -> None:
    recall: Recall = {number: [1.0] for number in range(4)}
    assert "closed without all honest updates: 2 of 3 rounds" in _said(recall, incomplete={1, 2})


def _said(recall: Recall, **marked: Collection[int]) -> list[str]:
    return [one.get_text() for one in texts(recall_figure(recall, "", "", **marked))]


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="at least one round"):
        draw_recall({}, tmp_path / "a.png", "title", "subtitle")


def test_classes_are_shown_by_name_where_there_is_room() -> None:
    def labels(names: list[str], classes: int) -> list[str]:
        figure = recall_figure({0: [0.5] * classes}, "", "", names=names)
        return [one.get_text() for one in figure.axes[0].get_yticklabels()]

    long = "cancer-associated stroma"
    assert labels(["red cell", long], 2) == ["red cell", "cancer-associat…"]
    many = [f"class {number}" for number in range(30)]
    assert "class 1" not in labels(many, 30)
    assert "b" not in labels(["b", "a"], 4)  # names of another data set
