"""``fedsiege presets``: list the scenarios that PRESET sets, each with its source."""

import shlex
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedsiege.cli.command import single
from fedsiege.errors import InvalidValue
from fedsiege.experiment.presets import PRESETS
from fedsiege.experiment.settings import no_such


def presets(
    name: Annotated[str | None, typer.Argument(help="Show this preset.")] = None,
) -> None:
    """List the scenarios that PRESET=NAME sets in one word, and what each sets.

    Raises:
        InvalidValue: there is no such preset.
    """
    if name is not None and name not in PRESETS:
        raise InvalidValue("PRESET", name, no_such("preset", name, PRESETS))
    console = Console()
    for one in PRESETS if name is None else [name]:
        preset = PRESETS[one]
        console.print(Text(one, style="bold"), Text(preset.summary), sep=": ")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        words = [f"{key.upper()}={value}" for key, value in preset.settings.items()]
        grid.add_row("  source", Text(preset.source))
        grid.add_row("  ours", Text(preset.ours))
        grid.add_row("  sets", Text(shlex.join(words)))
        console.print(grid)
        console.print()


app = single(presets)
