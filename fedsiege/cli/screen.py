"""The screen: what a run, a grid and other commands print.

On a terminal the rounds are a progress bar; where the output goes to a file or a pipe they are one
line each. All text is printed as it is: brackets in a name are brackets.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from fedsiege.cli.history_table import history_table
from fedsiege.cli.spec_rows import spec_rows
from fedsiege.cli.wrapped import Wrapped
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.results import HistoryRow
from fedsiege.results.report import RunReport
from fedsiege.results.summary import missing_in_words, round_line, summary
from fedsiege.time_left import TimeLeft

#: Notes that differ in their numbers alone; of more the screen says how many.
_MOST_ALIKE = 3


class Screen:
    """Prints what a command has to say.

    Args:
        console: where to; None for the standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._notes: dict[str, list[str]] = {}

    def say(self, text: str) -> None:
        """Print a plain line; it is wrapped on a terminal only."""
        self.console.print(Text(text), soft_wrap=not self.console.is_terminal)

    def note(self, text: str) -> None:
        """Print a note; of those that differ in their numbers alone only the first few.

        Where every round has late updates, their notes would hide everything else.
        """
        alike = self._notes.setdefault(re.sub(r"\d+", "#", text), [])
        alike.append(text)
        if len(alike) <= _MOST_ALIKE:
            self.say(text)

    def sum_up_notes(self) -> None:
        """Say how many notes were not printed, and the last of each kind."""
        for alike in self._notes.values():
            if len(alike) > _MOST_ALIKE:
                more = len(alike) - _MOST_ALIKE
                self.say(f"{more} more like this: {alike[-1]}")
        self._notes.clear()

    def warn(self, text: str, title: str = "Please note") -> None:
        """Print a warning in a panel."""
        panel = Panel(
            Text(text), title=Text(title), title_align="left", border_style="bold yellow", padding=1
        )
        self.console.print(panel)

    def print_spec(self, resolved: ResolvedSpec) -> None:
        """Print a resolved specification and its notes."""
        grid = _grid()
        for name, text in spec_rows(resolved.spec, resolved.knowledge).items():
            grid.add_row(Text(name, style="dim"), Wrapped(text))
        for note in resolved.notes:
            grid.add_row(Text("note", style="yellow"), Wrapped(note))
        self.console.print(grid)
        self.console.print()

    @contextmanager
    def rounds(self, total: int) -> Iterator[Callable[[HistoryRow], None]]:
        """Show the progress of the rounds; call what this gives with each row of the history.

        Args:
            total: the rounds to come, 1 or more.
        """
        if not self.console.is_terminal:
            yield lambda row: self.say(round_line(row, total))
            return
        progress = self._progress("rounds", "accuracy")
        with progress:
            bar = progress.add_task("rounds", total=total, accuracy="")

            def show(row: HistoryRow) -> None:
                shown = f"accuracy {row.accuracy_text}"
                if row.asr is not None:
                    shown += f", attack success {row.asr:.1%}"
                progress.update(bar, completed=row.round, accuracy=shown)
                if row.incomplete:
                    self.say(f"round {row.round}: {missing_in_words(row)}")

            yield show

    @contextmanager
    def epochs(self, total: int) -> Iterator[Callable[[int, int, float], None]]:
        """Show the progress of training; call what this gives after each epoch.

        Args:
            total: the epochs to come, 1 or more.
        """
        if not self.console.is_terminal:
            yield lambda epoch, of, loss: self.say(f"epoch {epoch}/{of}: loss {loss:.4g}")
            return
        progress = self._progress("epochs", "loss")
        with progress:
            bar = progress.add_task("epochs", total=total, loss="")
            yield lambda epoch, _, loss: progress.update(
                bar, completed=epoch, loss=f"loss {loss:.4g}"
            )

    @contextmanager
    def cells(self, total: int, complete: int = 0) -> Iterator[Callable[[str, str], None]]:
        """Show the progress of a grid; call what this gives with each cell and its result.

        Args:
            total: how many cells there are, 1 or more.
            complete: how many of them, the first to be shown, are complete from an earlier run.
        """
        time_left = TimeLeft(total, complete)
        if not self.console.is_terminal:

            def say(cell: str, result: str) -> None:
                left = time_left.advance()
                text = f"cell {time_left.done}/{total}: {cell}: {result}"
                self.say(f"{text}, {left}" if left else text)

            yield say
            return
        # Not by the library's estimate, which goes by the last half minute.
        progress = self._progress("cells", "cell", TextColumn("{task.fields[left]}"))
        with progress:
            bar = progress.add_task("cells", total=total, cell="", left="")

            def show(cell: str, result: str) -> None:
                left = time_left.advance()
                progress.update(bar, advance=1, cell=f"{cell}: {result}", left=left)

            yield show

    def _progress(self, noun: str, shown: str, *left: ProgressColumn) -> Progress:
        """Return a bar with what is counted, how far it is, one more figure and the time left."""
        return Progress(
            TextColumn(noun),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn(f"{{task.fields[{shown}]}}", style="bold", markup=False),
            *(left or (TextColumn("time left"), TimeRemainingColumn())),
            console=self.console,
        )

    def print_history(self, rows: Sequence[HistoryRow]) -> None:
        """Print the history as a table, a long one thinned out."""
        changes = ["", *(_change(row, last) for last, row in pairwise(rows))]
        self.console.print(
            history_table(
                rows,
                {"change": changes},
                without=("instability", "problem"),
                title="Accuracy history",
                title_style="bold",
                box=box.SIMPLE_HEAD,
                pad_edge=False,
                padding=(0, 1, 0, 0),  # most tables fit into a window of 80
            )
        )

    def print_summary(self, report: RunReport) -> None:
        """Print what happened in a run, what its attack cost, and where the results lie."""
        spec = report.run.spec
        title = "Without an attack"
        if spec.hostile:
            title = f"{spec.attack_name} by {spec.hostile} of {spec.clients} participants"
        if len(report.run.history) == 1:
            title = "No round was played"
        grid = _grid()
        for name, value in summary(report).items():
            if value:
                grid.add_row(Text(name, style="dim"), Text(value, style="bold"))
        self.console.print(Text(title, style="bold"))
        self.console.print()
        self.console.print(grid)
        self.console.print()
        # on one line however narrow the window is: paths are copied, and read by scripts
        self.console.print(Text(f"Results: {report.run.path}"), soft_wrap=True)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 3))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _change(row: HistoryRow, last: HistoryRow) -> str:
    """Return the change of the accuracy in percentage points; empty with a destroyed model."""
    if row.destroyed or last.destroyed:
        return ""
    return f"{100 * (row.accuracy - last.accuracy):+.1f}"
