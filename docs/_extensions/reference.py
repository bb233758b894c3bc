"""The reference of settings, commands and layers, from their definitions."""

import inspect
import tomllib
import typing
from typing import Any

import typer
from pages import ROOT, table, write

from fedsiege.cli import main
from fedsiege.experiment.spec import ExperimentSpec


def write_settings(_app: Any) -> None:
    """Write the table of the settings of an experiment."""
    rows = [
        (f"`{name}`", f"`{one.default}`" if one.default not in (None, "") else "", meaning, allowed)
        for name, one in ExperimentSpec.model_fields.items()
        for meaning, _, allowed in [(one.description or "").partition(": ")]
    ]
    write("_settings.md", table(("setting", "default", "meaning", "allowed"), rows))


def write_commands(_app: Any) -> None:
    """Write a section for each command of ``fedsiege``."""
    group = typer.main.get_command(main.app)
    context = typer.Context(group)
    parts = []
    for name in main.COMMANDS:
        command = typing.cast(Any, group).get_command(context, name)
        parts += _describe(f"fedsiege {name}", command, "##")
    write("_commands.md", "\n".join(parts))


def write_imports(_app: Any) -> None:
    """Write the order of the rooms, upper before lower, as import-linter holds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = ["\n".join(one["layers"]) for one in contracts if one["type"] == "layers"]
    write("_imports.md", "\n\n".join(f"```text\n{text}\n```" for text in layers))


def _describe(title: str, command: Any, level: str) -> list[str]:
    """Return the section of a command, and those of its own commands."""
    parts = [f"{level} {title}", "", inspect.cleandoc(command.help or ""), ""]
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            parts += _describe(f"{title} {name}", command.get_command(context, name), f"{level}#")
        return parts
    rows = []
    for one in command.params:
        if one.name == "help" or (title == "fedsiege sim" and one.name in _SETTINGS):
            continue
        is_option = one.param_type_name == "option"
        names = ", ".join((*one.opts, *one.secondary_opts)) if is_option else one.metavar
        default = getattr(one, "show_default", True)
        shown = default if isinstance(default, str) else one.default
        blank = default is False or shown in (None, "", ()) or callable(shown)
        rows.append(
            (
                f"`{names or one.name.upper()}`",
                "required" if one.required else "" if blank else f"`{shown}`",
                getattr(one, "help", None) or "",
            )
        )
    if rows:
        parts += [table(("option or argument", "default", "meaning"), rows), ""]
    if title == "fedsiege sim":
        parts += [
            "It also takes every [setting](settings.md) as an option, as in `--rule=krum`.",
            "",
        ]
    return parts


_SETTINGS = set(ExperimentSpec.model_fields)


def setup(app: Any) -> dict[str, bool]:
    """Connect to the build."""
    app.connect("builder-inited", write_settings)
    app.connect("builder-inited", write_commands)
    app.connect("builder-inited", write_imports)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
