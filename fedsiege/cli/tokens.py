"""``fedsiege tokens``: enrolment tokens, issued, revoked and listed."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedsiege.errors import FedSiegeError, InvalidValue

if TYPE_CHECKING:
    from fedsiege.services.identity.ledger import Ledger

app = typer.Typer(
    help="Enrolment tokens: issue, revoke and list them, with the identities that use them.",
    no_args_is_help=True,
    add_completion=False,
)

LedgerPath = Annotated[
    Path, typer.Option("--ledger", help="The SQLite file that the aggregator is given as --tokens.")
]
LEDGER = Path("admission/tokens.sqlite")


@app.command()
def issue(
    count: Annotated[int, typer.Argument(help="How many tokens: one for each participant.")],
    label: Annotated[str, typer.Option(help="What for, such as client.")] = "",
    days: Annotated[
        float | None, typer.Option(help="Days in which each must be used first [default: no end]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for files LABEL-01.tokens and so on [default: print them]"),
    ] = None,
    per_file: Annotated[
        int, typer.Option("--per-file", "--places", help="With --out: tokens in each file.")
    ] = 1,
    ledger: LedgerPath = LEDGER,
) -> None:
    """Issue tokens. They are shown once: the ledger keeps only a hash of each."""
    from fedsiege.services.identity.ledger import Ledger

    if per_file < 1:
        raise InvalidValue("PER_FILE", per_file, "1 or more")
    if out is not None and not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]{0,79})?", label):
        allowed = "letters, digits, dots, dashes and underscores: files and workers are named so"
        raise InvalidValue("LABEL", label, allowed)
    with _using(Ledger(ledger)) as book:
        if out is None:
            for token in book.issue(count, label, days):
                typer.echo(token)
            return
        paths = _new_files(out, label or "worker", -(-count // per_file))
        tokens = book.issue(count, label, days)
        for number, path in enumerate(paths):
            some = tokens[number * per_file : (number + 1) * per_file]
            try:
                _write(path, "".join(f"{token}\n" for token in some))
            except OSError as error:
                for token in tokens[number * per_file :]:
                    book.revoke(token=token)
                raise FedSiegeError(f"{path} cannot be written: {error.strerror}") from error
    span = str(paths[0]) + (f" … {paths[-1]}" if len(paths) > 1 else "")
    _say(f"{span}: {count} token{'' if count == 1 else 's'}.")
    _say(f"Next: python -m fedsiege.services.client --tokens {paths[0]}")


@app.command()
def revoke(
    token: Annotated[str, typer.Option(help="This one.")] = "",
    label: Annotated[str, typer.Option(help="All that were issued under a label.")] = "",
    identity: Annotated[str, typer.Option(help="Those that an identity uses.")] = "",
    ledger: LedgerPath = LEDGER,
) -> None:
    """Revoke tokens; the identities that used them are refused from the next second on."""
    with _using(_existing(ledger)) as book:
        count = book.revoke(token=token, label=label, identity=identity)
    _say(f"{count} token{'' if count == 1 else 's'} revoked.")


@app.command("list")
def list_(ledger: LedgerPath = LEDGER) -> None:
    """List issued tokens: label, state and the identity that uses it, never the token itself."""
    with _using(_existing(ledger)) as book:
        entries = book.entries()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("label", "state", "identity", "issued", "expires"):
        table.add_column(heading, overflow="fold")
    for one in entries:
        times = one.issued, one.expires
        table.add_row(*map(Text, (one.label, one.state, one.identity or "", *map(_when, times))))
    Console().print(table)


@contextmanager
def _using(ledger: "Ledger") -> Iterator["Ledger"]:
    """Close the ledger in the end, and say in a sentence what is wrong with its file."""
    with closing(ledger):
        try:
            yield ledger
        except sqlite3.Error as error:
            raise FedSiegeError(f"the token ledger {ledger.path} failed: {error}") from error


def _existing(path: Path) -> "Ledger":
    from fedsiege.services.identity.ledger import Ledger

    if not path.exists():
        raise InvalidValue("LEDGER", str(path), "one that `fedsiege tokens issue` has made")
    return Ledger(path)


def _new_files(folder: Path, label: str, count: int) -> list[Path]:
    """Return names for files, counted on from those that are there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FedSiegeError(f"{folder} cannot be made: {error.strerror}") from error
    pattern = re.compile(rf"{re.escape(label)}-([0-9]{{1,9}})\.tokens")
    taken = [int(found[1]) for one in folder.iterdir() if (found := pattern.fullmatch(one.name))]
    first = max(taken, default=0) + 1
    width = max(2, len(str(first + count - 1)))
    return [folder / f"{label}-{n:0{width}}.tokens" for n in range(first, first + count)]


def _write(path: Path, text: str) -> None:
    """Make a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _when(seconds: float | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%F %H:%MZ}"


def _say(text: str) -> None:
    Console().print(Text(text), soft_wrap=True)
