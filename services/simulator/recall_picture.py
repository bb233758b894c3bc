"""The picture of the classes: the recall of each over the rounds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedsiege.errors import InvalidValue
from services.simulator.picture import fitting_size

_INK = "#1f2933"
_QUIET = "#7b8794"


def draw_recall(
    recall: Mapping[int, Sequence[float | None]], path: Path, title: str, subtitle: str
) -> None:
    """Draw the recall of each class as a heat map into a PNG file of 1200 x 500 pixels.

    Args:
        recall: by round, ascending, the recall of each class, 0 to 1; None without samples.
        path: the file, which must end with .png.
        title: one line of up to 70 characters.
        subtitle: one line, set the smaller the longer it is: the attack, its share, the rule.

    Raises:
        InvalidValue: there is no round.
    """
    # Importing matplotlib takes 0.3 s, and Figure without pyplot opens no window anywhere.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if not recall:
        raise InvalidValue("recall", 0, "at least one round to draw")
    rounds = list(recall)
    classes = max(len(one) for one in recall.values())
    values = [
        [math.nan if (one := recall[number][c]) is None else 100 * one for number in rounds]
        for c in range(classes)
    ]
    figure = Figure(figsize=(12, 5), dpi=100, facecolor="white")
    axes = figure.subplots()
    figure.subplots_adjust(left=0.085, right=0.975, top=0.78, bottom=0.135)
    left = figure.subplotpars.left
    figure.text(left, 0.91, title, size=19, weight="bold", color=_INK, parse_math=False)
    figure.text(left, 0.845, subtitle, size=fitting_size(subtitle), color=_QUIET, parse_math=False)
    edges = (rounds[0] - 0.5, rounds[-1] + 0.5, -0.5, classes - 0.5)
    image = axes.imshow(
        values,
        vmin=0,
        vmax=100,
        cmap="viridis",
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        extent=edges,
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=11, labelcolor=_QUIET, pad=6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.set_xlabel("round (0: before any)", size=12, color=_INK, labelpad=8)
    axes.set_ylabel("class", size=12, color=_INK, labelpad=10)
    bar = figure.colorbar(image, ax=axes, pad=0.015, fraction=0.05, format=PercentFormatter())
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=11, labelcolor=_QUIET)
    bar.set_label("recall", size=12, color=_INK)
    figure.savefig(path, format="png")
