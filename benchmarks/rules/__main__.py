"""``make bench-rules``: measure every rule that ByzFL has too, and write the results to files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import machine
from benchmarks.contest import Effort, Outcome, run
from benchmarks.processes import ROOT
from benchmarks.rules import report
from benchmarks.rules.cases import CASES, SIZES, Case, Size
from benchmarks.rules.contenders import BYZFL, Workers, benchmark
from fedsiege.errors import InvalidValue

_NAMES = ", ".join(CASES)
_SIZES = ",".join(f"{size.n}x{size.d}" for size in SIZES)


def main(
    only: Annotated[str, typer.Option(help=f"Rules, comma-separated: {_NAMES}. Empty: all")] = "",
    sizes: Annotated[str, typer.Option(help="Matrices, NxD, comma-separated")] = _SIZES,
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions of each contender")] = 3,
    patience: Annotated[
        float, typer.Option(help="Seconds after which no further repetition of a rule begins")
    ] = 15.0,
    limit: Annotated[float, typer.Option(help="Seconds that one repetition may take")] = 75.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads that each contender may use")] = 2,
    cpu: Annotated[
        bool, typer.Option(help="Measure processor time, on one thread: for a machine in use")
    ] = False,
    quick: Annotated[bool, typer.Option(help="The two smaller matrices, once, 20 s each")] = False,
    results: Annotated[Path, typer.Option(help="Folder of the results")] = (
        ROOT / "benchmarks" / "results"
    ),
) -> None:
    """Measure our rules beside ByzFL's, in turns; a claim that is NOT MET is a finding."""
    console = Console(highlight=False)
    names = [name.strip() for name in only.split(",") if name.strip()] or list(CASES)
    try:
        cases = [_case(name) for name in names]
        matrices = [_size(text) for text in sizes.split(",")]
    except InvalidValue as error:
        console.print(str(error), style="bold red", markup=False)
        raise typer.Exit(2) from error
    if cpu:
        threads = 1
    if quick:
        matrices, repeats, limit = list(SIZES[:2]), 1, 20.0

    def show(line: str) -> None:
        console.print(line, markup=False)

    BYZFL.prepare()
    clock = "on the processor" if cpu else "wall"
    this_machine = {**machine.describe(), "threads": str(threads), "time": clock}
    outcomes: list[Outcome] = []
    too_slow: dict[tuple[str, str], Size] = {}
    for size in matrices:
        with Workers(size, limit, threads, "cpu" if cpu else "wall", too_slow) as workers:
            for case in cases:
                one = benchmark(case, size, workers)
                outcomes.append(run(one, Effort(repeats, seconds=patience), show))
                # Now, so that an interrupted run keeps its results.
                written = report.as_record(outcomes, this_machine)
                report.write(results, written)
    console.print(Markdown(report.markdown(written)))
    console.print(f"Written to {results}/rules.json and rules.md", markup=False)


def _case(name: str) -> Case:
    if name not in CASES:
        raise InvalidValue("only", name, f"there are {_NAMES}")
    return CASES[name]


def _size(text: str) -> Size:
    try:
        return Size.of(text)
    except ValueError:
        raise InvalidValue("sizes", text, "participants x parameters, such as 100x1e5") from None


if __name__ == "__main__":
    typer.run(main)
