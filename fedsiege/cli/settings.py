"""``fedsiege settings``: list the settings of an experiment, as ``make`` does."""

import shlex
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from fedsiege.cli.files import Plugins
from fedsiege.cli.sim import app as sim
from fedsiege.errors import InvalidValue
from fedsiege.experiment import assignments
from fedsiege.experiment.spec import ExperimentSpec

#: Columns of the names and defaults, and of a whole line.
_NAMES, _LINE = 22, 100
#: Settings that containers do not take, and why.
_NOT_IN_CONTAINERS = {
    "clients": "the number of client containers, --scale, says it",
    "device": "the image has no CUDA",
    "faults": "fedsiege sim with ENGINE=docker makes them",
}


def settings(
    given: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=value...", help="With --join: settings.")
    ] = None,
    join: Annotated[
        bool,
        typer.Option(
            "--join",
            help="Check the settings given and print them as one line, which docker-compose.yml "
            "passes on as SETTINGS.",
        ),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """List what an experiment and its run on this machine can be told: NAME=default, meaning."""
    if join:
        typer.echo(_joined(given or []))
        return
    fields = ExperimentSpec.model_fields
    typer.echo("Settings of an experiment and their defaults")
    _print({name: (one.default, one.description) for name, one in fields.items()})
    options = typer.main.get_command(sim).params
    own = [one for one in options if one.name not in fields]
    typer.echo("\nOf a run on this machine")
    _print({str(one.name): (_default(one), getattr(one, "help", "")) for one in own})


def _default(option: Any) -> object:  # typer brings its own click
    """Return what an option is where it is not given, in words where its value is none."""
    shown = getattr(option, "show_default", None)
    return shown if isinstance(shown, str) else option.default


def _joined(words: list[str]) -> str:
    """Return assignments as the text that ``SETTINGS`` holds, which a shell would read alike.

    Raises:
        InvalidValue: a setting that there is not, that containers do not take, or that is out of
            its range.
    """
    found = assignments.parse(words, ExperimentSpec.model_fields)
    for name in found:
        if reason := _NOT_IN_CONTAINERS.get(name):
            raise InvalidValue(name.upper(), found[name], f"not for these containers: {reason}")
    ExperimentSpec.of(found)
    ordered = [name for name in ExperimentSpec.model_fields if name in found]
    return shlex.join(f"{name.upper()}={found[name]}" for name in ordered)


def _print(entries: Mapping[str, tuple[object, str | None]]) -> None:
    """Print names with their default and meaning."""
    for name, (default, meaning) in entries.items():
        shown = f"  {name.upper()}={'' if default is None else default}"
        if len(shown) >= _NAMES:
            typer.echo(shown)
            shown = ""
        indent = " " * _NAMES
        text = textwrap.fill(
            meaning or "",
            _LINE,
            initial_indent=shown.ljust(_NAMES),
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
        typer.echo(text)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(settings)
