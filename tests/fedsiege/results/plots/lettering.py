"""Where the texts of a figure stand, as matplotlib's renderer draws them."""

from collections.abc import Iterator
from itertools import combinations

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from fedsiege.results.plots.canvas import renderer


def texts(figure: Figure) -> dict[Text, Bbox]:
    """Return the texts that are drawn, each with its place in pixels."""
    figure.draw(renderer(figure))
    undrawn = {label for axis in figure.findobj(Axis) for label in _beyond(axis)}
    return {
        one: one.get_window_extent(renderer(figure))
        for one in figure.findobj(Text)
        if one.get_visible() and one.get_text().strip() and one not in undrawn
    }


def _beyond(axis: Axis) -> Iterator[Text]:
    """Yield the labels of ticks beyond the limits of an axis, which exist but are not drawn."""
    low, high = sorted(axis.get_view_interval())
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        if not low <= tick.get_loc() <= high:
            yield from (tick.label1, tick.label2)


def check(figure: Figure) -> None:
    """Fail where a text leaves the figure or covers another.

    Slanted texts are not compared: the box around one is far larger than the text.
    """
    places = texts(figure)
    assert places
    for one, box in places.items():
        edges = min(box.x0, box.y0, figure.bbox.x1 - box.x1, figure.bbox.y1 - box.y1)
        assert edges >= 0, f"{one.get_text()!r} leaves the figure: {box}"
    upright = [(one, box) for one, box in places.items() if one.get_rotation() % 90 == 0]
    for (one, box), (other, its) in combinations(upright, 2):
        assert not box.overlaps(its), f"{one.get_text()!r} covers {other.get_text()!r}"
