"""``fedsiege grid``: run the experiments of a grid file, and write tables and a heat map."""

import time
from pathlib import Path
from typing import Annotated

import typer

from fedsiege.cli.command import single
from fedsiege.cli.files import Data, Plugins, read_text
from fedsiege.cli.screen import Screen
from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import resolve
from fedsiege.grids import layout, report
from fedsiege.grids.cells import CellFigures
from fedsiege.grids.grid import Cell, Grid, folder_of, run_cells

#: Seconds from one report of a grid that runs to the next.
_BETWEEN_REPORTS = 20.0


def grid(
    file: Annotated[Path, typer.Argument(help="The grid, such as experiments/admission.yaml.")],
    data: Data = Path("data"),
    out: Annotated[
        Path | None, typer.Option(help="Folder of the grid.", show_default="runs/<its name>")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Experiments that run at a time.", min=1)] = 1,
    plugin: Plugins = None,
) -> None:
    """Run every experiment of a grid; one that was interrupted goes on where it stopped."""
    run(read_text(file), file.stem, out, [f"--data={data}"], Screen(), jobs)


def run(
    file: str, name: str, out: Path | None, options: list[str], screen: Screen, jobs: int = 1
) -> Path:
    """Run a grid; what is complete already is not run again.

    Args:
        file: the grid, as YAML.
        name: what to call its folder where none is named.
        out: the folder of the grid; None for ``runs/<name>``.
        options: more options for each ``fedsiege sim``.
        screen: where to show the progress.
        jobs: how many cells run at a time.

    Returns:
        The folder.

    Raises:
        InvalidValue: the grid cannot be run; nothing was started.
        CellFailed: a run did not finish.
    """
    wanted = Grid.from_yaml(file)
    cells = list(wanted)
    for cell in cells:
        resolve(cell.spec)
    if out is None and not name.strip("."):
        raise InvalidValue("OUT", "", f"a folder for the results: {name!r} is no name of one")
    folder = out or Path("runs") / name
    figures: list[CellFigures] = []
    written = 0.0
    there = sum(folder_of(cell, folder).exists() for cell in cells)
    with screen.cells(len(wanted), there) as show:

        def done(cell: Cell, results: Path) -> None:
            nonlocal written
            figures.append(CellFigures.read(cell, results))
            # Not after each cell: drawing hundreds of cells takes a second.
            if time.monotonic() - written > _BETWEEN_REPORTS:
                report.write(wanted, figures, folder)
                written = time.monotonic()
            show(", ".join(cell.labels), layout.describe(figures[-1]))

        try:
            run_cells(wanted, folder, options, done, jobs)
        finally:
            if figures:
                report.write(wanted, figures, folder)
    screen.say(report.markdown(wanted, figures))
    screen.say(f"Results: {folder}")
    return folder


app = single(grid)
