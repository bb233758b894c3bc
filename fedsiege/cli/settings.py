"""``fedsiege settings``: list the settings of an experiment, as ``make`` does."""

import textwrap
from collections.abc import Mapping

import typer

from fedsiege.cli.command import single
from fedsiege.cli.sim import app as sim
from fedsiege.experiment.spec import ExperimentSpec

#: Columns of the names and defaults, and of a whole line.
_NAMES, _LINE = 22, 100


def settings() -> None:
    """List what an experiment and its run on this machine can be told: NAME=default, meaning."""
    fields = ExperimentSpec.model_fields
    typer.echo("Settings of an experiment and their defaults")
    _print({name: (one.default, one.description) for name, one in fields.items()})
    options = typer.main.get_command(sim).params
    own = [one for one in options if one.name not in fields]
    typer.echo("\nOf a run on this machine")
    _print({str(one.name): (one.default, getattr(one, "help", "")) for one in own})


def _print(entries: Mapping[str, tuple[object, str | None]]) -> None:
    """Print names with their default and meaning."""
    for name, (default, meaning) in entries.items():
        shown = f"  {name.upper()}={'' if default is None else default}"
        if len(shown) >= _NAMES:
            typer.echo(shown)
            shown = ""
        indent = " " * _NAMES
        text = textwrap.fill(
            meaning or "", _LINE, initial_indent=shown.ljust(_NAMES), subsequent_indent=indent
        )
        typer.echo(text)


app = single(settings)
