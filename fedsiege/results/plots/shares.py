"""The plot of a partition: which participant has how many samples of which class."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fedsiege.results.plots import canvas
from fedsiege.results.plots.canvas import INK, QUIET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NONE = "#f4f5f7"
#: Classes up to which each has its name at the axis.
_MOST_NAMED = 20


def draw_shares(
    counts: npt.NDArray[np.int64],
    names: Sequence[str],
    path: Path,
    title: str,
    subtitle: str,
) -> None:
    """Draw who has what as a heat map into a PNG file of 1200 x 600 pixels.

    Args:
        counts: ``(classes, participants)``, the samples of each.
        names: of the classes; empty for their numbers.
        path: the file, which must end with .png.
        title: which data set, and how it is shared out.
        subtitle: how unlike the participants are.
    """
    shares_figure(counts, names, title, subtitle).savefig(path, format="png")


def shares_figure(
    counts: npt.NDArray[np.int64], names: Sequence[str], title: str, subtitle: str
) -> "Figure":
    """Return what ``draw_shares`` draws, as a figure."""
    from matplotlib import colormaps  # takes 0.3 s
    from matplotlib.ticker import MaxNLocator

    classes, participants = counts.shape
    figure = canvas.canvas(12, 6)
    # The second column is for the key of the colours, so that both plots have one width.
    grid = {"height_ratios": [1, 4], "width_ratios": [60, 1], "hspace": 0.06, "wspace": 0.03}
    (sizes, empty), (axes, key) = figure.subplots(2, 2, gridspec_kw=grid)
    empty.set_visible(False)
    edges = (-0.5, participants - 0.5, classes - 0.5, -0.5)
    image = axes.imshow(
        np.where(counts, counts, np.nan),
        vmin=0,
        cmap=colormaps["viridis"].with_extremes(bad=_NONE),
        aspect="auto",
        interpolation="nearest",
        extent=edges,
    )
    sizes.bar(np.arange(participants), counts.sum(0), width=0.85, color=QUIET)
    sizes.set_xlim(edges[:2])
    sizes.set_xticks([])
    sizes.set_ylabel("samples", size=12, color=INK, labelpad=10)
    sizes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    for one in (axes, sizes):
        one.spines[:].set_visible(False)
        one.tick_params(length=0, labelsize=11, labelcolor=QUIET, pad=6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    if classes <= _MOST_NAMED:
        axes.set_yticks(range(classes), [short(name) for name in names] or range(classes))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axes.set_xlabel("participant", size=12, color=INK, labelpad=8)
    axes.set_ylabel("class", size=12, color=INK, labelpad=10)
    bar = figure.colorbar(image, cax=key)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=11, labelcolor=QUIET)
    bar.set_label("samples of the class", size=12, color=INK)
    top = canvas.head(figure, title, subtitle)
    widest = max((len(short(name)) for name in names), default=0)
    left = 0.085 if classes > _MOST_NAMED else 0.085 + 0.007 * widest
    figure.subplots_adjust(left=left, right=0.93, top=top - 0.02, bottom=0.115)
    return figure


def short(name: str) -> str:
    """Return the name of a class as it has room in a picture; white space as Python writes it."""
    shown = name if name.strip() and name.isprintable() else repr(name)
    return shown if len(shown) <= 16 else f"{shown[:15]}…"
