"""``fedsiege partition``: show which participant has what, and how unlike they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from fedsiege.cli.command import single
from fedsiege.cli.files import Data, Plugins
from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results.plots.shares import short

if TYPE_CHECKING:
    from fedsiege.datasets import Dataset
    from fedsiege.partitions.heterogeneity import Heterogeneity

_DEFAULTS = {name: field.default for name, field in ExperimentSpec.model_fields.items()}
#: From none of the samples of a participant to nearly all.
_SHADES = "·░▒▓█"
#: Classes that are drawn on the screen.
_MOST_DRAWN = 40


def partition(
    dataset: Annotated[
        str, typer.Option(help="Data set, see fedsiege datasets; or auto.")
    ] = "auto",
    partition: Annotated[
        str, typer.Option(help="How samples go to participants, as PARTITION of fedsiege sim.")
    ] = str(_DEFAULTS["partition"]),
    clients: Annotated[int, typer.Option(help="Participants.", min=1)] = _DEFAULTS["clients"],
    samples: Annotated[
        int, typer.Option(help="Samples of each; 0 for all, shared out.", min=0)
    ] = _DEFAULTS["samples"],
    seed: Annotated[int, typer.Option(help="Seed of all random draws.", min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option(help="PNG file to draw it into.", show_default="none")
    ] = None,
    data: Data = Path("data"),
    plugin: Plugins = None,
) -> None:
    """Show how a data set is shared out: who has what, and the heterogeneity as a number."""
    from fedsiege import datasets, partitions
    from fedsiege.cli.screen import Screen
    from fedsiege.partitions.heterogeneity import Heterogeneity

    screen = Screen()
    if out is not None and (out.suffix != ".png" or out.exists()):
        raise InvalidValue("OUT", str(out), "a new file that ends with .png")
    name, reason = dataset, ""
    if dataset == "auto":
        name, reason = datasets.resolve(dataset, data)
    loaded = datasets.load(name, data)
    for note in (reason, *loaded.notes):
        if note:
            screen.warn(note)
    rule = partitions.parse(partition)
    shares = rule.assign(loaded.train_labels, clients, samples, seed, loaded.groups)
    found = Heterogeneity.of(loaded.train_labels, list(shares), loaded.classes, seed)
    title = f"{name}, {rule}, {clients:,} participants, seed {seed}"
    screen.console.print(Text(title, style="bold"))
    for line in _drawn(found, loaded, screen.console.width):
        screen.console.print(Text(line), soft_wrap=True)
    for line in _figures(found):
        screen.say(line)
    if out is not None:
        from fedsiege.results.plots.shares import draw_shares

        draw_shares(found.counts, loaded.class_names, out, title, _figures(found)[0])
        screen.say(f"Picture: {out}")


def _figures(found: "Heterogeneity") -> list[str]:
    """Return the figures of a partition as sentences."""
    sizes, kinds = found.counts.sum(0), (found.counts > 0).sum(0)
    return [
        f"heterogeneity {found.mean:.3f}: mean total-variation distance of a participant's labels "
        f"from the whole; {found.by_chance:.3f} for random shares of the same sizes",
        f"samples of a participant: {_spread(sizes)}; classes: {_spread(kinds)}",
    ]


def _spread(values: Any) -> str:  # a vector of whole numbers
    """Return the least, mean and largest of some numbers."""
    least, most = int(values.min()), int(values.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}, mean {values.mean():,.1f}"


def _drawn(found: "Heterogeneity", loaded: "Dataset", width: int) -> list[str]:
    """Return a line for each class: how much of each participant's samples it is."""
    shares = found.counts / found.counts.sum(0)
    classes, participants = shares.shape
    names = [short(name) for name in loaded.class_names] or list(map(str, range(classes)))
    margin = max(map(len, names)) + 2
    room = max(1, width - margin)
    lines = [
        names[number].rjust(margin - 2)
        + "  "
        + "".join(_shade(share) for share in shares[number, :room])
        for number in range(min(classes, _MOST_DRAWN))
    ]
    cut = []
    if participants > room:
        cut.append(f"the first {room} of {participants:,} participants")
    if classes > _MOST_DRAWN:
        cut.append(f"the first {_MOST_DRAWN} of {classes} classes")
    shown = f", {' and '.join(cut)}" if cut else ""
    key = f"{' ' * margin}participants across, classes down{shown}; {_SHADES} 0, to 1/4, .. to 1"
    return [*lines, key]


def _shade(share: float) -> str:
    """Return the sign of a share from 0 to 1."""
    return _SHADES[0] if share == 0 else _SHADES[1 + min(3, int(4 * share))]


app = single(partition)
