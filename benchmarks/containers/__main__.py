"""``make bench-containers``: measure, print the tables and write them to files."""

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import machine, report
from benchmarks.containers import engine, progress, results
from benchmarks.containers.crowd import CROWD
from benchmarks.containers.echo import ECHO
from benchmarks.containers.faults import FAULTS
from benchmarks.containers.many import MANY
from benchmarks.containers.start import START
from benchmarks.containers.streams import STREAMS
from benchmarks.containers.tls import TLS
from benchmarks.contest import Benchmark, Effort, run
from benchmarks.processes import ROOT
from fedsiege.errors import InvalidValue

BENCHMARKS = {one.name: one for one in (START, ECHO, MANY, CROWD, STREAMS, FAULTS, TLS)}
_WIDTH_OF_FILES = 120
_NAMES = ", ".join(BENCHMARKS)


def chosen(names: list[str]) -> list[Benchmark]:
    """Return the benchmarks of these names, or all for no names.

    Raises:
        InvalidValue: a name is unknown.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise InvalidValue("NAME", name, f"there are {_NAMES}")
    return [BENCHMARKS[name] for name in names or BENCHMARKS]


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Which: {_NAMES}. None: all")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions of what can vary")] = 1,
    quick: Annotated[bool, typer.Option(help="A few containers each; no claim is judged")] = False,
    folder: Annotated[Path, typer.Option("--results", help="Folder of the results")] = (
        ROOT / "benchmarks" / "results"
    ),
) -> None:
    """Measure what FedSiege does in containers on this machine's Docker engine.

    A claim that is NOT MET is a finding, not an error; the exit status is 1 only if something could
    not be measured. IMAGE names an image to use; without it the image of the working tree is built.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    try:
        benchmarks = chosen(names or [])
    except InvalidValue as error:
        console.print(str(error), style="bold red", markup=False)
        raise typer.Exit(2) from error
    signal.signal(signal.SIGTERM, _end)
    if engine.IMAGE == "fedsiege:latest":
        subprocess.run([ROOT / "docker" / "image.sh"], check=True)
    this_machine = machine.describe()
    records = []
    if quick:
        benchmarks = [dataclasses.replace(one, claims=()) for one in benchmarks]
    for benchmark in benchmarks:
        outcome = run(benchmark, Effort(1 if quick else repeats, quick), progress.show)
        records.append(
            {**report.record(outcome, this_machine), "findings": progress.take_findings()}
        )
        results.write(folder, records[-1])  # now, so that an interrupted run keeps its results
    for one in records:
        report.show(console, one)
    console.print(f"Written to {folder}", markup=False)
    if any(one["failures"] for one in records):
        sys.exit(1)


def _end(signal_number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that every container is removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
