"""``cells.csv`` is read back as it was written; the tables of this repository agree with it."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.grids import report
from fedsiege.grids.cells import Attempts, CellFigures, read_figures, write_cells
from fedsiege.grids.grid import Cell, Grid
from fedsiege.results import HistoryRow, ResultsFolder

GRID = Grid.from_yaml("vary: {attack: [0.0, 0.2], rule: [fedavg, median]}")
COMMITTED = Path(__file__).parents[3] / "experiments" / "results"


def cells() -> list[CellFigures]:
    first, second, third, fourth = (cell.labels for cell in GRID)
    return [
        CellFigures(first, 0.9, 0.9125, 0.1, 2.5, 5, 0, {}),
        CellFigures(
            second, 0.8, 0.8, 0.8, 1.0, 4, 1, {"sybils": Attempts(10, 3, 2.5)}, 0.5, 0.25, 0.125
        ),
        CellFigures(third, 0.0, 0.0, 0.0, 1.0, 4, 1, {}, knowledge="full", destroyed=True),
        CellFigures(fourth, 0.7, 0.7, 0.7, 1.0, 4, 1, {}, incomplete_rounds=12),
    ]


def test_cells_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    write_cells(GRID, cells()[::-1], tmp_path / "cells.csv")
    assert list(read_figures(GRID, tmp_path / "cells.csv")) == cells()


def test_an_older_table_without_the_newer_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(
        "attack,rule,accuracy,final,lowest,seconds,benign,hostile,tpr,fpr,asr,knowledge\n"
        "0.0,fedavg,0.9000,0.9125,0.1000,2.5,5,0,,,,\n"
        "0.2,fedavg,0.0000,0.0000,0.0000,1.0,4,1,,,,full\n"
        "0.2,median,0.0982,0.0982,0.0000,1.0,4,1,,,,full\n"
    )
    first, second, third = read_figures(GRID, path)
    assert first == cells()[0]
    assert second == cells()[2], "no model that answers at all is never right"
    assert not third.destroyed
    assert third.incomplete_rounds is None


def test_what_a_run_lacked_and_whether_it_destroyed_the_model_is_read(tmp_path: Path) -> None:
    spec = ExperimentSpec.of({"clients": 5})
    rows = [
        HistoryRow(0, 0.1, 2.3, 0, 0, 0.1),
        HistoryRow(1, 0.5, 1.0, 4, 0, 0.1, missing_honest=1, missing_hostile=0),
        HistoryRow(2, 0.6, 1.0, 4, 0, 0.1, missing_honest=0, missing_hostile=1),
        HistoryRow(3, 0.7, 1.0, 2, 0, 0.1, missing_honest=3, missing_hostile=0),
        HistoryRow(4, 0.0, math.nan, 5, 0, 0.1, missing_honest=0, missing_hostile=0),
    ]

    def figures(name: str, history: list[HistoryRow]) -> CellFigures:
        with ResultsFolder(tmp_path / name) as folder:
            folder.start(ResolvedSpec(spec))
            for row in history:
                folder.add_round(row)
        return CellFigures.read(Cell((name,), spec), tmp_path / name)

    ruined = figures("ruined", rows)
    assert (ruined.incomplete_rounds, ruined.destroyed) == (2, True)
    assert ruined.worth == 0
    alive = figures("alive", rows[:4])
    assert (alive.incomplete_rounds, alive.destroyed) == (2, False)
    older = figures("older", [replace(row, missing_honest=None) for row in rows[:4]])
    assert older.incomplete_rounds is None


@pytest.mark.parametrize("name", sorted(path.name for path in COMMITTED.iterdir()))
def test_the_tables_of_this_repository_agree_with_their_cells(name: str, tmp_path: Path) -> None:
    folder = COMMITTED / name
    grid = Grid.from_yaml((folder / "grid.yaml").read_text())
    figures = list(read_figures(grid, folder / "cells.csv"))
    assert len(figures) == len(grid)
    expected = report.markdown(grid, figures)
    table = (folder / "table.md").read_text()[: len(expected) + 1]
    number = re.compile(r"\d+\.\d")
    assert number.sub("#", table).startswith(number.sub("#", expected))
    told = zip(number.findall(expected), number.findall(table), strict=False)
    assert all(abs(float(one) - float(other)) < 0.11 for one, other in told)


def test_a_heat_map_is_drawn_again_from_the_tables(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text((COMMITTED / "admission" / "grid.yaml").read_text())
    (tmp_path / "cells.csv").write_text((COMMITTED / "admission" / "cells.csv").read_text())
    report.redraw(tmp_path)
    assert (tmp_path / "heatmap.png").read_bytes().startswith(b"\x89PNG")
