"""The figure that the plots of a run share: title, subtitle and key, fitted into it.

Every text is measured with matplotlib's renderer, so that none leaves the figure or covers another.
"""

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

INK = "#1f2933"
QUIET = "#616e7c"
LINES = "#e4e7eb"
#: The mark of rounds that were closed while updates of honest participants were missing.
INCOMPLETE = "#e8a33d"
INCOMPLETE_TEXT = "closed without all honest updates"
#: What is said of a model whose outputs are not numbers.
DESTROYED_TEXT = "destroyed: the outputs of the model are NaN"

_DPI = 100
_LEFT = 0.085
_RIGHT = 0.955

#: Where the label of a point may stand: offsets in points, then alignments; the first that is free.
_PLACES = (
    (0, 10, "center", "bottom"),
    (0, -10, "center", "top"),
    (10, 8, "left", "bottom"),
    (-10, 8, "right", "bottom"),
    (10, -8, "left", "top"),
    (-10, -8, "right", "top"),
    (12, 0, "left", "center"),
    (-12, 0, "right", "center"),
    (0, 30, "center", "bottom"),
    (0, -30, "center", "top"),
    (26, 24, "left", "bottom"),
    (-26, 24, "right", "bottom"),
    (26, -24, "left", "top"),
    (-26, -24, "right", "top"),
)


def canvas(width: float, height: float) -> "Figure":
    """Return an empty figure of so many inches, with 100 pixels to the inch.

    It is made without pyplot, which would open windows and keep the figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Canvas(Figure):
        """A figure that notebooks show without pyplot as well."""

        def _repr_png_(self) -> bytes:
            png = io.BytesIO()
            self.savefig(png, format="png")
            return png.getvalue()

    figure = Canvas(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def renderer(figure: "Figure") -> "RendererAgg":
    """Return what measures the texts of a figure that ``canvas`` made."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    assert isinstance(figure.canvas, FigureCanvasAgg)
    measure: RendererAgg = figure.canvas.get_renderer()  # type: ignore[no-untyped-call]
    return measure


def head(figure: "Figure", title: str, subtitle: str, key: "Sequence[Artist]" = ()) -> float:
    """Write title, subtitle and key at the top of a figure.

    Args:
        figure: made by ``canvas``.
        title: set smaller, then over two lines, where it is too long for one.
        subtitle: likewise, over three lines.
        key: what the key explains, each with its label.

    Returns:
        The height, as a fraction of the figure, below which the axes may begin.
    """
    height = figure.bbox.height
    width = (_RIGHT - _LEFT) * figure.bbox.width
    drop = 22.0  # pixels from the upper edge
    for text, size, least, most, style in (
        (title, 19.0, 12.0, 2, {"weight": "bold", "color": INK}),
        (subtitle, 12.5, 8.5, 3, {"color": QUIET}),
    ):
        drop += _write(figure, text, size, least, most, width, 1 - drop / height, style) + 8
    if key:
        drop += _key(figure, key, width, 1 - drop / height)
    return 1 - (drop + 10) / height


def _write(
    figure: "Figure",
    text: str,
    size: float,
    least: float,
    most: int,
    width: float,
    top: float,
    style: dict[str, Any],
) -> float:
    """Write a text that is at most so many pixels wide, and return its height in pixels."""
    # parse_math off: a dollar sign in a name is a dollar sign
    artist = figure.text(_LEFT, top, text, size=size, va="top", parse_math=False, **style)

    def wide(line: str) -> float:
        artist.set_text(line)
        return artist.get_window_extent(renderer(figure)).width

    # step by step, for widths are not quite proportional to sizes
    while wide(text) > width and size > least:
        size = max(least, 0.98 * size)
        artist.set_fontsize(size)
    if wide(text) > width:
        artist.set_text("\n".join(broken(text, width, most, wide)))
    return artist.get_window_extent(renderer(figure)).height if text else size * _DPI / 72


def broken(text: str, width: float, most: int, wide: Callable[[str], float]) -> list[str]:
    """Break a text into lines.

    Args:
        text: the text; it is broken at spaces, and inside a word that is too long for a line.
        width: the width of a line.
        most: so many lines at most; a dot-dot-dot stands for what has no room in them.
        wide: returns how wide a text is.

    Returns:
        The lines.
    """
    lines: list[str] = []
    rest = text.strip()
    while rest and len(lines) < most:
        fits = _fitting(rest, width, wide)
        if fits == len(rest):
            return [*lines, rest]
        if len(lines) == most - 1:
            fits = _fitting(rest, width - wide("…"), wide)
            return [*lines, f"{rest[:fits].rstrip()}…"]
        space = rest.rfind(" ", 1, fits + 1)
        fits = space if space > 0 else fits
        lines.append(rest[:fits].rstrip())
        rest = rest[fits:].lstrip()
    return lines


def _fitting(text: str, width: float, wide: Callable[[str], float]) -> int:
    """Return how many letters of a text, 1 or more, are no wider than so many pixels."""
    lengths = range(1, len(text) + 1)
    return max(1, bisect_right(lengths, width, key=lambda length: wide(text[:length])))


def _key(figure: "Figure", entries: "Sequence[Artist]", width: float, top: float) -> float:
    """Draw a key in as few lines as it needs, and return its height in pixels."""
    for columns in range(len(entries), 0, -1):
        legend = figure.legend(
            handles=entries,
            loc="upper left",
            bbox_to_anchor=(_LEFT, top),
            ncols=columns,
            fontsize=10.5,
            labelcolor=INK,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            handlelength=2.2,
            columnspacing=2,
            labelspacing=0.4,
        )
        extent = legend.get_window_extent(renderer(figure))
        if extent.width <= width or columns == 1:
            break
        legend.remove()
    return extent.height


def label(
    figure: "Figure",
    axes: "Axes",
    point: tuple[float, float],
    text: str,
    taken: "list[Bbox]",
    **style: Any,
) -> None:
    """Write beside a point, where neither a line nor another label is in the way.

    Args:
        figure: made by ``canvas``.
        axes: with its final place and limits, and the lines already in it.
        point: in the coordinates of the axes.
        text: what to write.
        taken: where labels stand already, in pixels; this one is added.
        style: of the text.
    """
    from matplotlib.patheffects import withStroke

    measure = renderer(figure)
    inside = axes.get_window_extent(measure)
    # lines across the whole plot, such as that of random guessing, may be written on
    lines = [one for one in axes.get_lines() if one.get_transform() == axes.transData]
    paths = [axes.transData.transform_path(one.get_path()) for one in lines]
    note = axes.annotate(
        text,
        point,
        xytext=(0, 0),
        textcoords="offset points",
        path_effects=[withStroke(linewidth=3, foreground="white")],
        **style,
    )

    def put(place: tuple[int, int, str, str]) -> "Bbox":
        note.xyann = place[:2]
        note.set(ha=place[2], va=place[3])
        return note.get_window_extent(measure)

    def cost(place: tuple[int, int, str, str]) -> int:
        box = put(place)
        outside = [inside.x0 > box.x0, inside.y0 > box.y0, inside.x1 < box.x1, inside.y1 < box.y1]
        covered = [box.overlaps(other.padded(3)) for other in taken]
        crossed = [path.intersects_bbox(box.padded(2), filled=False) for path in paths]
        return int(100 * sum(outside) + 50 * sum(covered) + 10 * sum(crossed))

    taken.append(put(min(_PLACES, key=cost)))
