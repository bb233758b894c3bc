"""The plot of a run: accuracy and attack success over the rounds, and the loss below."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from fedsiege.errors import InvalidValue
from fedsiege.results.history import HistoryRow
from fedsiege.results.plots import canvas
from fedsiege.results.plots.canvas import INK, QUIET

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

_ACCURACY = "#1d5fa8"
_SUCCESS = "#9c2b6e"
_LOSS = "#b4622d"

#: Above this many rounds a mark for each would blot out the line.
_MARKED_ROUNDS = 40
#: Above this ratio of largest to smallest the loss goes on a logarithmic scale.
_LINEAR_RANGE = 50.0
#: The commonest class gets a line of its own where guessing it beats random guessing by as much.
_UNBALANCED = 0.03


def draw_history(
    rows: Sequence[HistoryRow],
    path: Path,
    title: str,
    subtitle: str,
    *,
    class_samples: Sequence[int] = (),
) -> None:
    """Draw a history into a PNG file of 1200 x 700 pixels.

    Args:
        rows: the history, at least one row.
        path: the file, which must end with .png.
        title: what ran; set smaller where it is long.
        subtitle: the attack, its share, the rule; likewise.
        class_samples: held-out samples of each class, which say how good guessing is; empty if they
            are not known, and then no line says it.

    Raises:
        InvalidValue: there are no rows.
    """
    history_figure(rows, title, subtitle, class_samples=class_samples).savefig(path, format="png")


def history_figure(
    rows: Sequence[HistoryRow], title: str, subtitle: str, *, class_samples: Sequence[int] = ()
) -> "Figure":
    """Return what ``draw_history`` draws, as a figure."""
    # Importing matplotlib takes 0.3 s.
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if not rows:
        raise InvalidValue("rows", len(rows), "at least one round to draw")

    figure = canvas.canvas(12, 7)
    accuracy, loss = figure.subplots(
        2, 1, sharex=True, height_ratios=(3.6, 1), gridspec_kw={"hspace": 0.14}
    )
    for axes in (accuracy, loss):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(QUIET)
        axes.grid(axis="y", color=canvas.LINES, linewidth=1)
        axes.tick_params(which="both", length=0, labelsize=11, labelcolor=QUIET, pad=6)
        axes.set_axisbelow(True)
    accuracy.tick_params(labelbottom=False)
    accuracy.set_ylim(0, 104)
    accuracy.set_yticks(range(0, 101, 20))
    accuracy.yaxis.set_major_formatter(PercentFormatter(decimals=0))

    key = [
        *_draw_shares(accuracy, rows),
        *_draw_guessing(accuracy, class_samples),
        *_mark_incomplete([accuracy, loss], rows),
        *_mark_undrawn([accuracy, loss], rows),
    ]
    _draw_loss(loss, rows)

    first, last = rows[0].round, rows[-1].round
    room = 0.02 * (last - first) or 0.5
    loss.set_xlim(first - room, last + 2 * room)
    loss.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    loss.set_xlabel("round (0: before any)", size=12, color=INK, labelpad=8)
    backdoor = any(row.asr is not None for row in rows)
    shown = "share of held-out data" if backdoor else "accuracy on held-out data"
    accuracy.set_ylabel(shown, size=12, color=INK, labelpad=10)
    loss.set_ylabel("loss (nats)", size=12, color=INK, labelpad=10)
    top = canvas.head(figure, title, subtitle, key)
    figure.subplots_adjust(left=0.085, right=0.955, top=top, bottom=0.095)
    figure.align_ylabels()
    _label_shares(figure, accuracy, rows)
    return figure


def _has_figures(row: HistoryRow) -> bool:
    """Whether the test of the model gave figures: it was tested, and its outputs are numbers."""
    return math.isfinite(row.accuracy) and not row.destroyed


def _shares(rows: Sequence[HistoryRow]) -> Iterator[tuple[str, str, list[float]]]:
    """Return what is drawn in percent: its name, its colour, and a value per round or NaN."""
    accuracy = [100 * row.accuracy if _has_figures(row) else math.nan for row in rows]
    yield "accuracy", _ACCURACY, accuracy
    if any(row.asr is not None for row in rows):
        success = [
            math.nan if row.asr is None or not _has_figures(row) else 100 * row.asr for row in rows
        ]
        yield "attack success rate", _SUCCESS, success


def _draw_shares(axes: "Axes", rows: Sequence[HistoryRow]) -> Iterator["Artist"]:
    """Draw accuracy and attack success rate, with gaps where there is none; yield the lines."""
    rounds = [row.round for row in rows]
    for (name, colour, percent), marker in zip(_shares(rows), "os", strict=False):
        if name == "accuracy":
            axes.fill_between(rounds, percent, color=colour, alpha=0.08, linewidth=0)
        yield from axes.plot(
            rounds,
            percent,
            color=colour,
            linewidth=2.8,
            marker=marker if len(rows) <= _MARKED_ROUNDS else "",
            markersize=7,
            markeredgecolor="white",
            markeredgewidth=1.5,
            solid_joinstyle="round",
            label=name,
        )


def _label_shares(figure: "Figure", axes: "Axes", rows: Sequence[HistoryRow]) -> None:
    """Write the first, the last and the lowest accuracy beside its point, and the last success."""
    taken: list[Bbox] = []
    for name, colour, percent in _shares(rows):
        for place in _labelled(percent) if name == "accuracy" else _labelled(percent)[:1]:
            text = f"{percent[place]:.1f}%"
            point = rows[place].round, percent[place]
            canvas.label(figure, axes, point, text, taken, size=13, weight="bold", color=colour)


def _labelled(percent: Sequence[float]) -> list[int]:
    """Choose the points that are labelled: the last, the first, and one well below both."""
    there = [place for place, value in enumerate(percent) if math.isfinite(value)]
    if not there:
        return []
    first, last = there[0], there[-1]
    lowest = min(there, key=percent.__getitem__)
    chosen = [last, first]
    if percent[lowest] < min(percent[first], percent[last]) - 2:
        chosen.append(lowest)
    return list(dict.fromkeys(chosen))


def _draw_guessing(axes: "Axes", class_samples: Sequence[int]) -> Iterator["Artist"]:
    """Draw what guessing reaches, and yield the lines.

    Guessing at random is right once in as many times as there are classes, however many samples
    each has; always to guess the commonest is right as often as it occurs.
    """
    if not sum(class_samples):
        return
    random, commonest = 1 / len(class_samples), max(class_samples) / sum(class_samples)
    levels = [(random, (0, (4, 4)), f"random guessing among {len(class_samples)} classes")]
    if commonest > random + _UNBALANCED:
        levels.append((commonest, (0, (1, 2)), "always the commonest class"))
    for level, dashes, name in levels:
        yield axes.axhline(
            100 * level,
            color=QUIET,
            linewidth=1.3,
            linestyle=dashes,
            label=f"{name}: {100 * level:.3g}%",
        )


def _mark_incomplete(several: "Sequence[Axes]", rows: Sequence[HistoryRow]) -> Iterator["Artist"]:
    """Shade the rounds in which updates of honest participants were missing."""
    bands = [
        [row.round for row in some]
        for missing, some in groupby(rows, key=lambda row: row.incomplete)
        if missing
    ]
    count = sum(map(len, bands))
    text = f"{canvas.INCOMPLETE_TEXT}: {count} of {rows[-1].round} rounds"
    for axes in several:
        for band in bands:
            shade = axes.axvspan(
                band[0] - 0.5,
                band[-1] + 0.5,
                facecolor=canvas.INCOMPLETE,
                alpha=0.35,
                linewidth=0,
                zorder=0,
                label=text,
            )
            if axes is several[0] and band is bands[0]:
                yield shade


def _mark_undrawn(several: "Sequence[Axes]", rows: Sequence[HistoryRow]) -> Iterator["Artist"]:
    """Mark what cannot be drawn at the foot of each plot: why there is no accuracy, or no loss."""
    destroyed = [row.round for row in rows if row.destroyed]
    untested = [row.round for row in rows if not math.isfinite(row.accuracy)]
    endless = [row.round for row in rows if math.isinf(row.loss) and math.isfinite(row.accuracy)]
    accuracy, loss = several
    for rounds, marker, text, places in (
        (destroyed, "x", canvas.DESTROYED_TEXT, [(accuracy, 0.03), (loss, 0.12)]),
        (untested, "|", "not tested", [(accuracy, 0.03), (loss, 0.12)]),
        (endless, "^", "loss infinite", [(loss, 0.88)]),
    ):
        for axes, height in places if rounds else ():
            marks = axes.plot(
                rounds,
                [height] * len(rounds),
                marker,
                transform=axes.get_xaxis_transform(),
                color=INK,
                markersize=8 if len(rows) <= _MARKED_ROUNDS else 4,
                markeredgewidth=2 if len(rows) <= _MARKED_ROUNDS else 1,
                label=text,
            )
            if axes is places[0][0]:
                yield from marks


def _draw_loss(axes: "Axes", rows: Sequence[HistoryRow]) -> None:
    """Draw the loss, with gaps where it is not finite."""
    finite = [row.loss for row in rows if math.isfinite(row.loss)]
    axes.plot(
        [row.round for row in rows],
        [row.loss for row in rows],
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
