"""``fedsiege columns``: describe the result files; ``fedsiege columns > docs/results.md``."""

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from fedsiege.cli.command import single
from fedsiege.errors import InvalidValue


def columns(
    file: Annotated[
        str | None, typer.Argument(help="Only this file, such as history.csv.", show_default=False)
    ] = None,
) -> None:
    """Describe the files of a run and of a grid, and their columns."""
    parts = documentation()
    if file is not None and f"## {file}" not in parts:
        known = ", ".join(part.removeprefix("## ") for part in parts if part.startswith("## "))
        raise InvalidValue("FILE", file, f"one of {known}")
    shown = parts if file is None else {f"## {file}": parts[f"## {file}"]}
    text = "\n".join(line for name, lines in shown.items() for line in (name, "", *lines, ""))
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        typer.echo(text.rstrip("\n"))


def documentation() -> dict[str, list[str]]:
    """Return the documentation in Markdown: the lines below each heading."""
    from fedsiege.grids.cells import CellFigures, DetectorFigures
    from fedsiege.results.files import TABLES, files
    from fedsiege.results.run_info import RunInfo

    info = {name: one.description or "" for name, one in RunInfo.model_fields.items()}
    parts = {
        "# The files of a run": [
            "<!-- Written by `fedsiege columns > docs/results.md`; do not edit. -->",
            "",
            "A run leaves a folder. Its tables grow round by round and reach the disk at once, so "
            "a run that is killed",
            "leaves valid files; the other files appear complete or not at all. A table without "
            "rows is absent, except",
            "`history.csv` and `participants.csv`. `fedsiege show` reads a folder back.",
            "",
            *_table("file", {one.name: one.holds for one in files()}),
            "",
            "In tables truth values are `true` and `false`, what is absent is empty, and `inf` "
            "and `nan` are numbers.",
        ],
        "## run.json": _table("field", info),
    }
    for record, holds in TABLES.items():
        texts = {name: column.text for name, column in record.columns().items()}
        parts[f"## {record.file}"] = [
            f"{holds[0].upper()}{holds[1:]}.",
            "",
            *_table("column", texts),
        ]
    for table, holds in (
        (
            CellFigures,
            "One row per cell. In front stands a column for each axis of the grid, with the cell's "
            "label on it; at the\nend, for each intrusion that was tried, `NAME_tried`, "
            "`NAME_succeeded` and `NAME_per_second`.",
        ),
        (
            DetectorFigures,
            "One row per cell and detector, with means over the rounds. In front stands a column "
            "for each axis.",
        ),
    ):
        texts = {name: column.text for name, column in table.columns().items()}
        parts[f"## {table.file} of a grid"] = [holds, "", *_table("column", texts)]
    return parts


def _table(left: str, texts: Mapping[str, str]) -> list[str]:
    """Return a table of names and what they mean."""
    rows = [f"| `{name}` | {text} |" for name, text in texts.items()]
    return [f"| {left} | meaning |", "|---|---|", *rows]


app = single(columns)
