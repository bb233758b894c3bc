"""A command that takes its options as assignments too: ``ATTACK=0.2`` for ``--attack=0.2``."""

import os
from typing import Any

import typer
from typer.core import TyperCommand

from fedsiege.experiment import assignments

#: Makes a command read what it is not given from environment variables of plain names.
PLAIN_ENVIRONMENT = "--plain-environment"


class Command(TyperCommand):
    """A command whose options have a second spelling, which is that of make's variables.

    ``fedsiege sim ATTACK=0.2`` is ``fedsiege sim --attack=0.2``. An empty value leaves the option
    out. An argument that looks like an assignment but is a file needs its folder: ``./a=b.yaml``.
    With ``--plain-environment``, which the Makefile gives, options that are not given are read from
    the environment: ``ATTACK`` for ``--attack``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # typer brings its own click
        """Replace the assignments among the arguments by options, then parse them.

        Raises:
            InvalidValue: the command has no option of that name.
        """
        options = [one for one in self.params if one.param_type_name == "option"]
        by_name = {one.name: one for one in options if one.name is not None}
        valued = {opt for one in options if not getattr(one, "is_flag", False) for opt in one.opts}
        words, given = [], []
        value_follows = False
        for word in args:
            if not value_follows and assignments.is_assignment(word):
                given.append(word)
            else:
                words.append(word)
            value_follows = not value_follows and word in valued
        found = assignments.parse(given, by_name)
        if PLAIN_ENVIRONMENT in words:
            words.remove(PLAIN_ENVIRONMENT)
            found = assignments.from_plain_variables(os.environ, by_name) | found
        spelled = [f"{by_name[name].opts[0]}={value}" for name, value in found.items()]
        return super().parse_args(ctx, [*spelled, *words])


def single(function: Any) -> typer.Typer:  # any function that typer makes a command of
    """Return an application of one command, as each module of a command has one."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(cls=Command)(function)
    return app
