"""Tables in a narrow window: whole, in blocks of columns, and nothing in them is cut."""

import io
import math
import re

import pytest
from rich.console import Console
from rich.text import Text

from fedsiege.cli.screen import Screen
from fedsiege.cli.screen_table import ScreenTable
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import HistoryRow
from fedsiege.results.history import CloseReason


def printed(table: ScreenTable, width: int) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    return [line.rstrip() for line in output.getvalue().splitlines()]


COLUMNS = {"round": ["1", "10"], "accuracy": ["93.0%", "5.0%"], "loss": ["0.25", "1.234e+09"]}
BARE = {"box": None, "padding": (0, 2, 0, 0)}


def test_a_table_that_fits_is_in_one_piece() -> None:
    lines = printed(ScreenTable(COLUMNS, title="Title", caption="Caption", **BARE), 40)
    assert [line.split() for line in lines] == [
        ["Title"],
        ["round", "accuracy", "loss"],
        ["1", "93.0%", "0.25"],
        ["10", "5.0%", "1.234e+09"],
        ["Caption"],
    ]


def test_a_table_that_does_not_fit_is_in_blocks_that_begin_with_the_first_column() -> None:
    lines = printed(ScreenTable(COLUMNS, title="Title", caption="A long caption", **BARE), 22)
    assert [line.split() for line in lines] == [
        ["Title"],
        ["round", "accuracy"],
        ["1", "93.0%"],
        ["10", "5.0%"],
        [],
        ["round", "loss"],
        ["1", "0.25"],
        ["10", "1.234e+09"],
        ["A", "long", "caption"],
    ]


def test_brackets_are_brackets_and_what_is_wider_than_the_window_is_broken_not_cut() -> None:
    lines = printed(ScreenTable({"a": ["[b]x[/b]"], "b": [Text("y" * 50)]}, **BARE), 30)
    assert "[b]x[/b]" in lines[1]
    assert "".join(lines).count("y") == 50


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_history_loses_no_heading_and_no_figure(width: int) -> None:
    rows = [
        HistoryRow(
            number,
            0.9321 if number < 2 else 0.0,
            1.234e-9 if number < 2 else math.nan,
            100,
            12,
            123.45,
            3,
            asr=0.985,
            close_reason=CloseReason.DEADLINE,
            expected=120,
            missing_honest=17,
            missing_hostile=0,
            hostile_share=1 / 3,
        )
        for number in range(3)
    ]
    output = io.StringIO()
    Screen(Console(file=output, width=width)).print_history(rows)
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    words = [word for line in lines for word in line.split()]
    headings = ["round", "accuracy", "change", "ASR", "loss", "updates", "rejected"]
    headings += ["quarantined", "missing", "hostile", "seconds"]
    assert set(headings) <= set(words)
    for figure in ("93.2%", "destroyed", "98.5%", "1.234e-09", "100", "12", "3", "17", "33%"):
        assert words.count(figure) >= 1, figure
    assert words.count("123.45") == 3


def test_the_header_loses_no_word_at_80_columns() -> None:
    spec = ExperimentSpec.of(
        {
            "name": "a name of several words " * 4,
            "attack": 0.2,
            "attack_name": "model-replacement:target=2,concentration=0.5,boost=1.0,size=4",
            "rule": "nnm/centered-clipping:tau=10.0,steps=3",
            "audit": "norm/duplicate/history/fixed-point/layers",
            "dataset": "digits",
            "samples": 2,
        }
    )
    output = io.StringIO()
    resolved = resolve(spec)
    Screen(Console(file=output, width=80)).print_spec(resolved)
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    shown = output.getvalue()
    for piece in re.split(r"(?<=[,/ ])", f"{spec.attack_name} {resolved.spec.audit} {spec.name}"):
        assert piece.strip() in shown, piece
    for note in resolved.notes:
        assert set(note.split()) <= set(shown.split())
