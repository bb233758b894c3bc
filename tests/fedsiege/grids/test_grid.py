"""Grids: every combination, checked before anything runs, resumable cell by cell."""

import csv
import errno
import fcntl
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fedsiege.cli import grid
from fedsiege.cli.screen import Screen
from fedsiege.errors import InvalidValue
from fedsiege.grids import grid as grid_module
from fedsiege.grids import report
from fedsiege.grids.cells import CellFigures
from fedsiege.grids.grid import Cell, CellFailed, Grid, run_cells, to_yaml
from fedsiege.grids.layout import Levels, describe
from tests.cases import each

SMALL = """
about: rules against an attack
base: {clients: 5, rounds: 1, dataset: digits, samples: 2, epochs: 1}
vary:
  attack:
    none: {attack: 0}
    mpaf: {attack: 0.2, scale: 1000}
  rule: [fedavg, median]
"""


def test_every_combination_with_the_last_axis_fastest() -> None:
    cells = list(Grid.from_yaml(SMALL))
    assert [cell.labels for cell in cells] == [
        ("none", "fedavg"),
        ("none", "median"),
        ("mpaf", "fedavg"),
        ("mpaf", "median"),
    ]
    assert [(cell.spec.attack, cell.spec.rule) for cell in cells][1:3] == [
        (0, "median"),
        (0.2, "fedavg"),
    ]
    assert all(cell.spec.clients == 5 for cell in cells)
    assert len(Grid.from_yaml(SMALL)) == 4


def test_a_grid_is_read_back_as_it_was_written() -> None:
    grid = Grid.from_yaml(SMALL)
    assert Grid.from_yaml(to_yaml(grid)) == grid


@each(
    ("text", "named"),
    [
        ("base: {}", "vary"),
        ("vary: {rule: []}", "rule"),
        ("vary: {rule: [median, median]}", "rule"),
        ("vary: {rule: fedavg}", "rule"),
        ("vary: {rules: [fedavg]}", "rules"),
        ("vary: {attack: {none: 0}}", "attack"),
        ("vary: {rule: [median]}\nbase: [1]", "base"),
        ("vary: {attack: {none: {attack: 0}}, share: {a: {attack: 0.2}}}", "attack=0.2.*: 0, as"),
        ("vary: {rule: [median]}\nbsae: {}", "bsae"),
        ("vary: {attack: [0, 1.5]}", "ATTACK"),
        ("vary: {rule: {'a/b': {rule: median}, 'a:b': {rule: fedavg}}}", "vary"),
    ],
)
def test_an_impossible_grid_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(InvalidValue, match=named):
        Grid.from_yaml(text)


def test_a_cell_that_cannot_work_is_refused_before_any_runs(tmp_path: Path) -> None:
    text = SMALL.replace("[fedavg, median]", "[fedavg, 'krum:f=9']")
    with pytest.raises(InvalidValue, match="krum"):
        grid.run(text, "small", tmp_path / "grid", [], Screen())
    assert not (tmp_path / "grid").exists()


@pytest.mark.slow
def test_a_grid_runs_is_resumed_and_keeps_apart_what_is_not_its_own(tmp_path: Path) -> None:
    text = SMALL.replace("[fedavg, median]", "[fedavg]")
    out = tmp_path / "grid"
    grid.run(text, "small", out, [f"--data={tmp_path}"], Screen())
    with (out / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["attack"], row["benign"], row["hostile"]) for row in rows] == [
        ("none", "5", "0"),
        ("mpaf", "4", "1"),
    ]
    assert [row["knowledge"] for row in rows] == ["", "none"]
    assert [row["destroyed"] for row in rows] == ["false", "false"]
    assert float(rows[0]["final"]) > float(rows[1]["final"])  # lambda 1000 leaves nothing
    table = (out / "table.md").read_text()
    assert "| attack | knowledge | fedavg |" in table
    assert "| none |  | " in table
    assert "| mpaf | none | **" in table
    assert (out / "heatmap.png").stat().st_size > 5_000

    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/history.csv")}
    seen: list[tuple[str, ...]] = []
    run_cells(Grid.from_yaml(text), out, [], lambda cell, _: seen.append(cell.labels))
    assert len(seen) == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before

    written = (out / "cells.csv").read_text()
    (out / "cells.csv").write_text("attack,rule,accuracy\nnone,fedavg,0.9\n")  # of another version
    grid.run(text, "small", out, [], Screen())
    assert (out / "cells.csv").read_text() == written, "the runs are what is read, not the table"

    other = text.replace("scale: 1000", "scale: 1001")  # the last cell alone
    with pytest.raises(InvalidValue, match=r"holds results with scale=1000\.0 in place of 1001\.0"):
        grid.run(other, "small", out, [], Screen())
    assert (out / "cells.csv").read_text() == written, "what was refused changes nothing"
    assert Grid.from_yaml((out / "grid.yaml").read_text()) == Grid.from_yaml(text)

    info = next(out.glob("cells/none__*/run.json"))  # as if its cell were of another day
    info.write_text(info.read_text().replace('"fedsiege": "0', '"fedsiege": "9'))
    grid.run(text, "small", out, [], Screen())
    stamps = (out / "grid.yaml").read_text().splitlines()[:2]
    assert [stamp[:12] for stamp in stamps] == ["# fedsiege 0", "# fedsiege 9"]


@pytest.mark.slow
def test_a_cell_that_fails_leaves_no_result_and_says_why(tmp_path: Path) -> None:
    grid = Grid.from_yaml("vary: {rule: [fedavg, median]}\nbase: {dataset: mnist}")
    with pytest.raises(CellFailed, match=r"fedavg did not finish[\s\S]*median did not finish"):
        run_cells(grid, tmp_path, ["--data=/nowhere", "--workers=0"], lambda *_: None)
    assert not (tmp_path / "cells" / "fedavg").exists()


def test_why_a_cell_failed_is_told_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "round 1/2\n" + "a long table\n" * 50 + "The experiment failed\nthe line broke\n"

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        out = next(part.removeprefix("--out=") for part in command if part.startswith("--out="))
        Path(out).mkdir()
        return subprocess.CompletedProcess(command, 1, stdout=said, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    grid = Grid.from_yaml("vary: {rule: [fedavg]}")
    with pytest.raises(CellFailed, match=r"failed\nthe line broke$"):
        run_cells(grid, tmp_path, [], lambda *_: None)
    kept = tmp_path / "cells" / "fedavg.unfinished" / "screen.txt"
    assert kept.read_text().startswith("round 1/2")


def test_a_cell_that_fails_keeps_no_other_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cell: Cell, folder: Path, options: list[str]) -> None:
        if cell.labels == ("none", "fedavg"):
            raise CellFailed("none, fedavg did not finish")
        folder.mkdir()

    monkeypatch.setattr(grid_module, "_run", run)
    ran: list[tuple[str, ...]] = []
    with pytest.raises(CellFailed, match="none, fedavg did not finish"):
        run_cells(Grid.from_yaml(SMALL), tmp_path, [], lambda cell, _: ran.append(cell.labels))
    assert sorted(ran) == [("mpaf", "fedavg"), ("mpaf", "median"), ("none", "median")]


def test_a_full_disk_ends_a_cell_in_words_and_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cell: Cell, folder: Path, options: list[str]) -> None:
        if cell.labels == ("none", "fedavg"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "cells/here.yaml")
        folder.mkdir()

    monkeypatch.setattr(grid_module, "_run", run)
    ran: list[tuple[str, ...]] = []
    words = "none, fedavg did not finish: cells/here.yaml cannot be written: no space is left"
    with pytest.raises(CellFailed, match=words):
        run_cells(Grid.from_yaml(SMALL), tmp_path, [], lambda cell, _: ran.append(cell.labels))
    assert sorted(ran) == [("mpaf", "fedavg"), ("mpaf", "median"), ("none", "median")]


def test_two_grids_do_not_run_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InvalidValue, match="no other grid runs"):
            run_cells(Grid.from_yaml(SMALL), tmp_path, [], lambda *_: None)


def four_cells(
    accuracies: tuple[float, ...],
    hostile: tuple[int, ...] = (0, 0, 1, 1),
    success: tuple[float | None, ...] = (None,) * 4,
) -> str:
    grid = Grid.from_yaml(SMALL)
    figures = [
        CellFigures(cell.labels, accuracy, accuracy, accuracy, 1.0, 4, fakes, {}, asr=asr)
        for cell, accuracy, fakes, asr in zip(grid, accuracies, hostile, success, strict=True)
    ]
    return report.markdown(grid, figures)


def figures_of(grid: Grid, accuracies: tuple[float, ...]) -> list[CellFigures]:
    return [
        CellFigures(cell.labels, accuracy, accuracy, accuracy, 1.0, 4, 1, {})
        for cell, accuracy in zip(grid, accuracies, strict=True)
    ]


def test_the_worst_of_a_column_stands_out() -> None:
    table = four_cells((0.9, 0.8, 0.1, 0.85), hostile=(1, 1, 1, 1))
    assert "| none | 90.0 | **80.0** |" in table
    assert "| mpaf | **10.0** | 85.0 |" in table


def test_where_attacks_go_across_the_worst_of_a_row_stands_out() -> None:
    grid = Grid.from_yaml(
        "vary: {rule: [fedavg, median], attack: {a: {attack_name: mpaf}, b: {attack_name: random}}}"
    )
    table = report.markdown(grid, figures_of(grid, (0.9, 0.8, 0.1, 0.85)))
    assert "| fedavg | 90.0 | **80.0** |" in table
    assert "| median | **10.0** | 85.0 |" in table
    assert "the worst of a row" in table


def test_where_no_attacks_are_compared_nothing_stands_out() -> None:
    grid = Grid.from_yaml("vary: {admission: [open, token], rule: [fedavg, median]}")
    table = report.markdown(grid, figures_of(grid, (0.9, 0.8, 0.1, 0.85)))
    assert "**" not in table
    assert "bold" not in table


def test_where_nobody_attacks_there_is_no_worst_and_all_of_the_same_are() -> None:
    table = four_cells((0.2, 0.8, 0.3, 0.85))
    assert "| none | 20.0 | 80.0 |" in table
    assert "| mpaf | **30.0** | **85.0** |" in table
    table = four_cells((0.5, 0.8, 0.5, 0.85), hostile=(1, 1, 1, 1))
    assert "| none | **50.0** | **80.0** |" in table
    assert "| mpaf | **50.0** | 85.0 |" in table


def test_a_backdoor_is_as_bad_as_its_success_however_accurate_the_model() -> None:
    table = four_cells((0.6, 0.8, 0.95, 0.9), (1, 1, 1, 1), (None, None, 0.999, 0.05))
    assert "| none | 60.0 | **80.0** |" in table
    assert "| mpaf | **95.0** [100] | 90.0 [5] |" in table
    assert "attack success rate" in table
    table = four_cells((0.6, 0.8, 0.95, 0.9), (0, 0, 1, 1), (0.7, 0.0, 0.03, 0.02))
    assert "| none | 60.0 [70] | 80.0 [0] |" in table, "a base rate is nobody's success"


#: What the attacks know by row and column, and which axis decides it.
LEVELS = {
    "rows": ({("a", "x"): "none", ("a", "y"): "none", ("b", "x"): "full", ("b", "y"): "full"}, 0),
    "columns": ({("a", "x"): "none", ("a", "y"): "", ("b", "x"): "none", ("b", "y"): ""}, 1),
    "everywhere": ({(r, c): "partial" for r in "ab" for c in "xy"}, None),
    "cells": ({("a", "x"): "none", ("a", "y"): "full", ("b", "x"): "", ("b", "y"): "none"}, None),
}
#: How the table then says it.
SAID = {
    "rows": ["| one | knowledge | x | y |", "| a | none | **50.0** |", "| b | full | "],
    "columns": ["| one | x | y |", "| *knowledge* | none |  |", "| a | **50.0** | "],
    "everywhere": ["| one | x | y |", "| a | **50.0** | ", "Knowledge of the attack: partial."],
    "cells": [
        "| a | **50.0** (none) | **50.0** (full) |",
        "| b | **50.0** | **50.0** (none) |",
    ],
}


@pytest.mark.parametrize("where", LEVELS)
def test_a_table_names_what_the_attacks_know(where: str) -> None:
    known, axis = LEVELS[where]
    grid = Grid.from_yaml("vary: {one: {a: {scale: 1}, b: {}}, two: {x: {}, y: {}}, seed: [3]}")
    figures = [
        CellFigures((*labels, "3"), 0.5, 0.5, 0.5, 1.0, 4, 1, {}, knowledge=level)
        for labels, level in known.items()
    ]
    table = report.markdown(grid, figures)
    for line in SAID[where]:
        assert line in table
    assert Levels.find(grid, figures).axis == axis


def test_a_heading_names_what_the_attacks_below_it_know() -> None:
    grid = Grid.from_yaml(
        "vary: {rule: [fedavg], seed: [1], attack: {none: {attack: 0}, alie: {attack_name: alie}}}"
    )
    figures = [
        CellFigures(("fedavg", "1", label), 0.5, 0.5, 0.5, 1.0, 4, 1, {}, knowledge=level)
        for label, level in (("none", ""), ("alie", "partial"))
    ]
    table = report.markdown(grid, figures)
    assert "attack none\n" in table
    assert "attack alie (knowledge partial)\n" in table


def test_a_destroyed_model_is_called_so_and_is_the_worst() -> None:
    grid = Grid.from_yaml(SMALL)
    figures = [
        replace(one, destroyed=place == 2, asr=0.098 if place == 2 else None)
        for place, one in enumerate(figures_of(grid, (0.05, 0.8, 0.098, 0.85)))
    ]
    table = report.markdown(grid, figures)
    assert "| none | 5.0 | **80.0** |" in table
    assert "| mpaf | **destroyed** | 85.0 |" in table
    assert "destroyed: the outputs of the model are NaN" in table
    whole = report.markdown(grid, figures_of(grid, (0.9, 0.8, 0.1, 0.85)))
    assert "destroyed" not in whole


def test_cells_whose_rounds_lacked_honest_updates_have_a_mark_that_is_explained() -> None:
    grid = Grid.from_yaml(SMALL)
    figures = [
        replace(one, incomplete_rounds=count, asr=0.0)
        for one, count in zip(figures_of(grid, (0.9, 0.8, 0.1, 0.85)), (0, None, 3, 1), strict=True)
    ]
    table = report.markdown(grid, figures)
    assert "| none | 90.0 [0] | **80.0** [0] |" in table
    assert "| mpaf | **10.0**† [0] | 85.0† [0] |" in table
    assert "† Some rounds were closed without all honest updates" in table
    assert "†" not in report.markdown(grid, figures_of(grid, (0.9, 0.8, 0.1, 0.85)))


def test_what_came_of_a_cell_is_told_in_words() -> None:
    (cell, *_) = figures_of(Grid.from_yaml(SMALL), (0.912, 0.8, 0.1, 0.85))
    assert describe(cell) == "accuracy 91.2%"
    assert describe(replace(cell, asr=0.25)) == "accuracy 91.2%, attack success 25.0%"
    assert describe(replace(cell, destroyed=True, asr=0.25)) == "accuracy destroyed"
    lacking = describe(replace(cell, incomplete_rounds=3))
    assert lacking == "accuracy 91.2%, 3 rounds closed without all honest updates"


def test_folders_are_named_for_people() -> None:
    cell = Cell(("mpaf:scale=1e6", "krum:f=3"), next(iter(Grid.from_yaml(SMALL))).spec)
    assert cell.folder == "mpaf-scale=1e6__krum-f=3"


def test_numbers_in_a_grid_are_those_of_the_command_line() -> None:
    grid = Grid.from_yaml("base: {clients: 010}\nvary: {lr: [1e-3, 0.10], seed: [007]}\n")
    assert [cell.spec.clients for cell in grid] == [10, 10]
    assert [cell.spec.lr for cell in grid] == [1e-3, 0.1]
    assert [cell.spec.seed for cell in grid] == [7, 7]
    with pytest.raises(InvalidValue, match="ROUNDS='1:30' is not possible"):
        list(Grid.from_yaml("base: {rounds: 1:30}\nvary: {seed: [1]}\n"))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["'..'"], r"a folder's name, which '\.\.' is not"),
        (["."], r"a folder's name, which '\.' is not"),
        (["''"], "a folder's name, which '' is not"),
        (["x" * 245], "a folder's name of at most 244 bytes; these make 245"),
        (["\u00e4" * 123], "at most 244 bytes; these make 246"),
        (["krum", "krum.yaml"], r"differ from \('krum',\) in more than \.yaml"),
        (["krum", "krum.unfinished"], r"differ from \('krum',\) in more than \.unfinished"),
    ],
)
def test_labels_that_make_no_folder_are_refused(labels: list[str], words: str) -> None:
    lines = "".join(f"    ? {label}\n    : {{attack: 0}}\n" for label in labels)
    with pytest.raises(InvalidValue, match=f"^vary=.*{words}") as caught:
        Grid.from_yaml(f"base: {{clients: 5}}\nvary:\n  label:\n{lines}")
    assert len(str(caught.value)) < 300


def test_the_longest_label_that_is_taken_is_one_that_a_file_system_takes(tmp_path: Path) -> None:
    [cell] = Grid.from_yaml(f"vary: {{label: {{{'x' * 244}: {{attack: 0}}}}}}")
    for suffix in ("", ".unfinished", ".yaml"):
        (tmp_path / f"{cell.folder}{suffix}").touch()
