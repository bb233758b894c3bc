"""Observers of a run on this machine: the screen, JSON for programs, or none."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from fedsiege.cli.screen import Screen
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.results import HistoryRow, RunState
from fedsiege.results.report import RunReport


class Observer:
    """Base: its methods are called in their order as a run goes on; they show nothing."""

    @classmethod
    def of(cls, progress: str) -> "Observer":
        """Return the observer that the option ``--progress`` names.

        Raises:
            InvalidValue: there is none of that name.
        """
        match progress:
            case "screen":
                return ScreenObserver()
            case "json":
                return JsonObserver(_own_stdout())
            case "none":
                return Observer()
        raise InvalidValue("PROGRESS", progress, "one of screen, json, none")

    def refused(self, error: FedSiegeError) -> None:
        """Handle an error that ends the run, and is raised as well."""

    def folder(self, path: Path) -> None:
        """Handle the creation of the results folder."""

    def resolved(self, resolved: ResolvedSpec, dataset_reason: str) -> None:
        """Handle the resolved specification.

        Args:
            resolved: it, with its notes.
            dataset_reason: why the data set was chosen; empty if it was named.
        """

    def say(self, text: str) -> None:
        """Handle a line of text, such as an address."""

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """Handle what takes time while the block runs; call what this gives with each new text."""
        yield lambda text: None

    @contextlib.contextmanager
    def rounds(self, total: int) -> Iterator[Callable[[HistoryRow], None]]:
        """Handle the rounds while the block runs; call what this gives with each row.

        Args:
            total: the rounds to come, 1 or more.
        """
        yield lambda row: None

    def note(self, text: str) -> None:
        """Handle what was noticed during the rounds."""

    def history(self, rows: Sequence[HistoryRow]) -> None:
        """Handle the history of a run that has ended."""

    def summary(self, report: RunReport) -> None:
        """Handle the figures of the run."""

    def ended(self, state: RunState, problem: str) -> None:
        """Handle the end of the run; its folder is complete.

        Args:
            state: how it ended.
            problem: why it failed; empty if it did not.
        """


class ScreenObserver(Observer):
    """Shows a run on the screen.

    Args:
        screen: the screen; None for the standard output.
    """

    def __init__(self, screen: Screen | None = None) -> None:
        self._screen = screen or Screen()

    def resolved(self, resolved: ResolvedSpec, dataset_reason: str) -> None:
        """Print the specification."""
        if dataset_reason:
            self._screen.warn(dataset_reason)
        self._screen.print_spec(resolved)

    def say(self, text: str) -> None:
        """Print a line."""
        self._screen.say(text)

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show a line that changes."""
        with self._screen.console.status(text) as status:
            yield status.update

    @contextlib.contextmanager
    def rounds(self, total: int) -> Iterator[Callable[[HistoryRow], None]]:
        """Show a bar, or a line each; afterwards, how many notes were not printed."""
        try:
            with self._screen.rounds(total) as show:
                yield show
        finally:
            self._screen.sum_up_notes()

    def note(self, text: str) -> None:
        """Print a note."""
        self._screen.note(text)

    def history(self, rows: Sequence[HistoryRow]) -> None:
        """Print the history as a table."""
        self._screen.print_history(rows)

    def summary(self, report: RunReport) -> None:
        """Print what happened, and where the results are."""
        self._screen.print_summary(report)

    def ended(self, state: RunState, problem: str) -> None:
        """Print a problem last, where it is seen."""
        if problem:
            self._screen.warn(problem, title="The experiment failed")


class JsonObserver(Observer):
    """Writes a JSON object per line, each with its kind as ``event``.

    ``folder`` (path), ``spec`` (spec, notes, dataset_reason), ``text`` and ``note`` (text),
    ``round`` (the columns of ``history.csv``, with destroyed and incomplete), ``error`` (kind,
    text; name, value and allowed of a value that is not possible) and last ``end`` (state,
    problem).

    Args:
        out: where to; None for the standard output.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout

    def _write(self, event: str, **values: Any) -> None:
        line = json.dumps({"event": event, **values}, ensure_ascii=False, default=str)
        # Without its reader the run goes on, unless it is asked to end with the standard input.
        with contextlib.suppress(BrokenPipeError):
            self._out.write(f"{line}\n")
            self._out.flush()

    def refused(self, error: FedSiegeError) -> None:
        """Write an ``error``."""
        values = {}
        if isinstance(error, InvalidValue):
            values = {"name": error.name, "value": error.value, "allowed": error.allowed}
        self._write("error", kind=type(error).__name__, text=str(error), **values)

    def folder(self, path: Path) -> None:
        """Write a ``folder``, an absolute path."""
        self._write("folder", path=str(path.absolute()))

    def resolved(self, resolved: ResolvedSpec, dataset_reason: str) -> None:
        """Write a ``spec``."""
        spec, notes = resolved.spec.model_dump(), resolved.notes
        self._write("spec", spec=spec, notes=notes, dataset_reason=dataset_reason)

    def say(self, text: str) -> None:
        """Write a ``text``."""
        self._write("text", text=text)

    @contextlib.contextmanager
    def rounds(self, total: int) -> Iterator[Callable[[HistoryRow], None]]:
        """Write a ``round`` for each row."""
        yield lambda row: self._write(
            "round", **row.to_json(), destroyed=row.destroyed, incomplete=row.incomplete
        )

    def note(self, text: str) -> None:
        """Write a ``note``."""
        self._write("note", text=text)

    def ended(self, state: RunState, problem: str) -> None:
        """Write an ``end``."""
        self._write("end", state=state, problem=problem)


def _own_stdout() -> TextIO:
    """Return the standard output, for the observer alone: what others print goes to the error.

    The services, which are forked, keep it open: it is at its end once all processes have ended.
    """
    sys.stdout.flush()
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own
