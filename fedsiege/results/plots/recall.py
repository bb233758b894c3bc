"""The plot of the classes: the recall of each over the rounds."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedsiege.errors import InvalidValue
from fedsiege.results.plots import canvas
from fedsiege.results.plots.canvas import INK, QUIET

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Where there is no recall: a class without samples, a model that is destroyed.
_NONE = "#d5dae0"
#: The most classes that are shown by name, and the most characters of a name.
_MOST_NAMED, _WIDEST = 20, 16


def draw_recall(
    recall: Mapping[int, Sequence[float | None]],
    path: Path,
    title: str,
    subtitle: str,
    *,
    incomplete: Collection[int] = (),
    destroyed: Collection[int] = (),
    names: Sequence[str] = (),
) -> None:
    """Draw the recall of each class as a heat map into a PNG file of 1200 x 500 pixels.

    Args:
        recall: by round, ascending, the recall of each class, 0 to 1; None without samples.
        path: the file, which must end with .png.
        title: what ran; set smaller where it is long.
        subtitle: the attack, its share, the rule; likewise.
        incomplete: rounds that were closed without all updates of honest participants.
        destroyed: rounds after which the outputs of the model are NaN.
        names: of the classes; empty for their numbers.

    Raises:
        InvalidValue: there is no round.
    """
    figure = recall_figure(
        recall, title, subtitle, incomplete=incomplete, destroyed=destroyed, names=names
    )
    figure.savefig(path, format="png")


def recall_figure(
    recall: Mapping[int, Sequence[float | None]],
    title: str,
    subtitle: str,
    *,
    incomplete: Collection[int] = (),
    destroyed: Collection[int] = (),
    names: Sequence[str] = (),
) -> "Figure":
    """Return what ``draw_recall`` draws, as a figure."""
    # Importing matplotlib takes 0.3 s.
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if not recall:
        raise InvalidValue("recall", 0, "at least one round to draw")
    rounds = list(recall)
    classes = max(len(one) for one in recall.values())

    def shown(number: int, place: int) -> float:
        one = recall[number][place]
        return math.nan if one is None or number in destroyed else 100 * one

    values = [[shown(number, place) for number in rounds] for place in range(classes)]
    figure = canvas.canvas(12, 5)
    axes = figure.subplots()
    edges = (rounds[0] - 0.5, rounds[-1] + 0.5, -0.5, classes - 0.5)
    image = axes.imshow(
        values,
        vmin=0,
        vmax=100,
        cmap=colormaps["viridis"].with_extremes(bad=_NONE),
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        extent=edges,
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=11, labelcolor=QUIET, pad=6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    shown_names = _shown_names(names, classes)
    if shown_names:
        axes.set_yticks(range(classes), shown_names)
    wide = 0.007 * max(map(len, shown_names), default=0)
    axes.set_xlabel("round (0: before any)", size=12, color=INK, labelpad=8)
    axes.set_ylabel("class", size=12, color=INK, labelpad=10)
    ruined = [number for number in rounds if number in destroyed]
    unknown = any(one is None for row in recall.values() for one in row)
    key = [
        *_strip(axes, [number for number in rounds if number in incomplete], rounds[-1]),
        *_greyed(ruined, unknown=unknown),
    ]
    top = canvas.head(figure, title, subtitle, key)
    figure.subplots_adjust(left=0.085 + wide, right=0.93, top=top - 0.02, bottom=0.135)
    bar = figure.colorbar(image, ax=axes, pad=0.015, fraction=0.05, format=PercentFormatter())
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=11, labelcolor=QUIET)
    bar.set_label("recall of the class", size=12, color=INK)
    return figure


def _strip(axes: "Axes", rounds: Sequence[int], last: int) -> Iterator["Artist"]:
    """Draw a strip above the rounds that were closed without all honest updates."""
    from matplotlib.patches import Rectangle

    text = f"{canvas.INCOMPLETE_TEXT}: {len(rounds)} of {last} rounds"
    for number in rounds:
        strip = Rectangle(
            (number - 0.5, 1.01),
            1,
            0.03,
            transform=axes.get_xaxis_transform(),
            facecolor=canvas.INCOMPLETE,
            linewidth=0,
            clip_on=False,
            label=text,
        )
        axes.add_artist(strip)
        if number == rounds[0]:
            yield strip


def _greyed(destroyed: Sequence[int], *, unknown: bool) -> Iterator["Artist"]:
    """Yield what explains the grey cells."""
    from matplotlib.patches import Patch

    reasons = [canvas.DESTROYED_TEXT] if destroyed else []
    reasons += ["no samples of the class"] if unknown else []
    if reasons:
        yield Patch(facecolor=_NONE, label=", or ".join(reasons))


def _shown_names(names: Sequence[str], classes: int) -> list[str]:
    """Return the names of the classes as they have room beside the map; none for their numbers."""
    if len(names) != classes or classes > _MOST_NAMED or list(names) == [*map(str, range(classes))]:
        return []
    return [name if len(name) <= _WIDEST else f"{name[: _WIDEST - 1]}…" for name in names]
