"""The picture of a run: accuracy over the rounds, and the loss below it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedsiege.errors import InvalidValue

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from services.simulator.results import HistoryRow

_INK = "#1f2933"
_QUIET = "#7b8794"
_GRID = "#e4e7eb"
_ACCURACY = "#1d5fa8"
_LOSS = "#b4622d"

#: Above this many rounds a mark for each would blot out the line.
_MARKED_ROUNDS = 40
#: Above this ratio of largest to smallest the loss goes on a logarithmic scale.
_LINEAR_RANGE = 50.0


def fitting_size(subtitle: str) -> float:
    """Return the size in points at which a subtitle stays within a picture 12 inches wide."""
    return min(12.5, 1250 / max(1, len(subtitle)))


def draw_history(
    rows: "Sequence[HistoryRow]", path: Path, title: str, subtitle: str, *, chance: float = 0.1
) -> None:
    """Draw a history into a PNG file of 1200 x 700 pixels.

    Args:
        rows: the history, at least one row.
        path: the file, which must end with .png.
        title: one line of up to 70 characters.
        subtitle: one line, set the smaller the longer it is: the attack, its share, the rule.
        chance: accuracy of random guessing, 0 to 1; drawn as a line.

    Raises:
        InvalidValue: there are no rows.
    """
    # Importing matplotlib takes 0.3 s, and Figure without pyplot opens no window anywhere.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if not rows:
        raise InvalidValue("rows", len(rows), "at least one round to draw")

    figure = Figure(figsize=(12, 7), dpi=100, facecolor="white")
    accuracy, loss = figure.subplots(
        2, 1, sharex=True, height_ratios=(3.6, 1), gridspec_kw={"hspace": 0.14}
    )
    figure.subplots_adjust(left=0.085, right=0.955, top=0.845, bottom=0.095)
    left = figure.subplotpars.left
    # parse_math off: a dollar sign in a name is a dollar sign
    figure.text(left, 0.935, title, size=19, weight="bold", color=_INK, parse_math=False)
    figure.text(left, 0.89, subtitle, size=fitting_size(subtitle), color=_QUIET, parse_math=False)

    for axes in (accuracy, loss):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(_QUIET)
        axes.grid(axis="y", color=_GRID, linewidth=1)
        axes.tick_params(length=0, labelsize=11, labelcolor=_QUIET, pad=6)
        axes.set_axisbelow(True)
    accuracy.tick_params(labelbottom=False)

    _draw_accuracy(accuracy, rows, chance)
    accuracy.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    _draw_loss(loss, rows)

    first, last = rows[0].round, rows[-1].round
    room = 0.02 * (last - first) or 0.5
    loss.set_xlim(first - room, last + 2 * room)
    loss.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    loss.set_xlabel("round (0: before any)", size=12, color=_INK, labelpad=8)
    accuracy.set_ylabel("accuracy on held-out data", size=12, color=_INK, labelpad=10)
    loss.set_ylabel("loss (nats)", size=12, color=_INK, labelpad=10)
    figure.align_ylabels()
    figure.savefig(path, format="png")


def _draw_accuracy(axes: "Axes", rows: "Sequence[HistoryRow]", chance: float) -> None:
    """Draw the accuracy in percent, with its first, lowest and last value as text."""
    from matplotlib.patheffects import withStroke

    rounds = [row.round for row in rows]
    percent = [100 * row.accuracy for row in rows]
    axes.set_ylim(0, 104)
    axes.set_yticks(range(0, 101, 20))
    axes.axhline(100 * chance, color=_QUIET, linewidth=1.2, linestyle=(0, (4, 4)))
    axes.annotate(
        "random guessing",
        (1, 100 * chance),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, -5),
        textcoords="offset points",
        ha="right",
        va="top",
        size=10.5,
        color=_QUIET,
    )
    axes.fill_between(rounds, percent, color=_ACCURACY, alpha=0.08, linewidth=0)
    axes.plot(
        rounds,
        percent,
        color=_ACCURACY,
        linewidth=2.8,
        marker="o" if len(rows) <= _MARKED_ROUNDS else "",
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=1.5,
        solid_joinstyle="round",
    )
    for i, (x, y, horizontal, vertical) in _labels(percent).items():
        axes.annotate(
            f"{percent[i]:.1f}%",
            (rounds[i], percent[i]),
            xytext=(x, y),
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            size=13,
            weight="bold",
            color=_ACCURACY,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _labels(percent: Sequence[float]) -> dict[int, tuple[int, int, str, str]]:
    """Choose which points are labelled and where their labels stand clear of the line.

    Args:
        percent: the accuracies.

    Returns:
        By position in ``percent``: offset to the right and upwards in points, alignments.
    """
    last = len(percent) - 1
    above, below = (0, 12, "center", "bottom"), (0, -12, "center", "top")
    labels = {last: above if percent[last] < 94 else below}
    if last > 0:
        rises = percent[max(1, last // 10)] > percent[0] + 5
        labels[0] = (14, 0, "left", "center") if rises else (4, 12, "left", "bottom")
    lowest = min(range(len(percent)), key=lambda i: percent[i])
    if percent[lowest] < min(percent[0], percent[last]) - 2:
        # No line runs below it, but near the axis there is no room; the line came from the left.
        labels[lowest] = below if percent[lowest] > 22 else (4, 12, "left", "bottom")
    return labels


def _draw_loss(axes: "Axes", rows: "Sequence[HistoryRow]") -> None:
    """Draw the loss; rounds in which it is not finite get a cross at the upper edge."""
    finite = [row.loss for row in rows if math.isfinite(row.loss)]
    axes.plot(
        [row.round for row in rows],
        [row.loss for row in rows],  # matplotlib leaves gaps where it is not finite
        color=_LOSS,
        linewidth=2,
        marker="o" if len(rows) <= _MARKED_ROUNDS else "",
        markersize=4.5,
        markeredgecolor="white",
        markeredgewidth=1,
    )
    if finite and min(finite) > 0 and max(finite) / min(finite) > _LINEAR_RANGE:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.12 * max([*finite, 1e-6]))
        axes.locator_params(axis="y", nbins=3)
    broken = [row.round for row in rows if not math.isfinite(row.loss)]
    if broken:
        edge = axes.get_xaxis_transform()
        axes.plot(
            broken,
            [0.9] * len(broken),
            "x",
            transform=edge,
            color=_LOSS,
            markersize=8,
            markeredgewidth=2,
        )
        axes.annotate(
            "not finite",
            (broken[0], 0.9),
            xycoords=edge,
            xytext=(-9, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            size=10.5,
            color=_LOSS,
        )
