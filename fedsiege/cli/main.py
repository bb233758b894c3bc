"""The program ``fedsiege``: finds the module of a command, and turns errors into sentences."""

import errno
import importlib
import os
import sys
from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from fedsiege.errors import FedSiegeError
from fedsiege.experiment import environment

#: The commands in the order of the help text; each is ``app`` of the module of its name.
COMMANDS = (
    *("sim", "settings", "presets", "show", "columns", "grid", "serve", "remote"),
    *("attacks", "rules", "detectors", "models", "datasets", "partition", "classifier"),
    *("admission", "tokens", "certs"),
)
#: Exit status after something impossible was asked for.
IMPOSSIBLE = 2
#: Commands that read no settings of the environment, and what they go by.
_WITHOUT_SETTINGS = {
    "serve": "each experiment comes with its own settings",
    "grid": "its file has the settings",
    "classifier": "it has options of its own",
    "partition": "it has options of its own",
}


class Commands(TyperGroup):
    """The commands; the module of one is imported when the command, or the list, is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # typer brings its own click
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(f"fedsiege.cli.{cmd_name}").app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def fedsiege() -> None:
    """Run, attack and defend federated learning over a real network."""


def _check_environment() -> None:
    """Refuse misspelt variables; note which have no effect on this command.

    Raises:
        InvalidValue: there is no such variable of FedSiege.
    """
    environment.check(os.environ)
    command = next((one for one in sys.argv[1:] if not one.startswith("-")), "")
    if command in _WITHOUT_SETTINGS:
        for name in environment.unread(os.environ):
            note = f"{name} has no effect on fedsiege {command}: {_WITHOUT_SETTINGS[command]}"
            Console(stderr=True).print(Text(note, style="yellow"), soft_wrap=True)


def main() -> None:
    """Run the command line; errors of ours are sentences, not tracebacks."""
    try:
        if "--help" not in sys.argv:
            _check_environment()
        app()
    except FedSiegeError as error:
        Console(stderr=True).print(Text(str(error), style="bold red"))
        sys.exit(IMPOSSIBLE)
    except OSError as error:
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise  # of the program's own, not of a file that the user named
        from fedsiege.atomic import describe_error

        Console(stderr=True).print(Text(describe_error(error), style="bold red"))
        sys.exit(IMPOSSIBLE)


if __name__ == "__main__":
    main()
