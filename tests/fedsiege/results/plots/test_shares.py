"""The plot of a partition."""

from pathlib import Path

import numpy as np

from fedsiege.results.plots.shares import draw_shares, shares_figure, short


def test_sizes_classes_and_names_are_in_it(tmp_path: Path) -> None:
    counts = np.array([[3, 0, 1], [0, 2, 2]])
    figure = shares_figure(counts, ["cat", "a very long name of a class"], "title", "subtitle")
    sizes, _, classes, *_ = figure.axes
    assert [bar.get_height() for bar in sizes.patches] == [3, 2, 3]
    image = classes.get_images()[0].get_array()
    assert image is not None
    assert image.filled(0).tolist() == counts.tolist()
    assert [one.get_text() for one in classes.get_yticklabels()] == ["cat", "a very long nam…"]
    draw_shares(counts, [], tmp_path / "many.png", "title", "subtitle")
    draw_shares(np.ones((65, 7), np.int64), [], tmp_path / "classes.png", "title", "subtitle")


def test_white_space_is_shown_as_python_writes_it() -> None:
    assert [short(name) for name in ("\n", " ", "a b")] == ["'\\n'", "' '", "a b"]
