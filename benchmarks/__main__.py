"""``make bench``: run the benchmarks, print the tables and write them to files."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import machine, report
from benchmarks.contest import Benchmark, Effort, run
from benchmarks.memory import MEMORY
from benchmarks.processes import ROOT
from benchmarks.pull import PULL
from benchmarks.rounds import ECHO, TRAINING
from benchmarks.start import START
from fedsiege.errors import InvalidValue

BENCHMARKS = {one.name: one for one in (ECHO, TRAINING, PULL, START, MEMORY)}
_WIDTH_OF_FILES = 120
_NAMES = ", ".join(BENCHMARKS)


def chosen(only: str) -> list[Benchmark]:
    """Return the benchmarks in a comma-separated list of names, or all for an empty one.

    Raises:
        InvalidValue: a name is unknown.
    """
    names = [name.strip() for name in only.split(",") if name.strip()] or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            raise InvalidValue("only", name, f"there are {_NAMES}")
    return [BENCHMARKS[name] for name in names]


def main(
    only: Annotated[str, typer.Option(help=f"Which, comma-separated: {_NAMES}. Empty: all")] = "",
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions of each contender")] = 3,
    quick: Annotated[bool, typer.Option(help="One short repetition of each")] = False,
    results: Annotated[Path, typer.Option(help="Folder of the results")] = (
        ROOT / "benchmarks" / "results"
    ),
) -> None:
    """Measure FedSiege beside its peers, in turns, and write the results to files.

    A claim that is NOT MET is a finding, not an error; the exit status is 1 only if something could
    not be measured.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    try:
        benchmarks = chosen(only)
    except InvalidValue as error:
        console.print(str(error), style="bold red", markup=False)
        raise typer.Exit(2) from error
    effort = Effort(1 if quick else repeats, quick)
    this_machine = machine.describe()
    records = []
    for benchmark in benchmarks:
        outcome = run(benchmark, effort, lambda line: console.print(line, markup=False))
        records.append(report.record(outcome, this_machine))
        # Now, so that an interrupted run keeps its results.
        report.write(results, records[-1:])
    for one in records:
        report.show(console, one)
    console.print(f"Written to {results}", markup=False)
    if any(one["failures"] for one in records):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
