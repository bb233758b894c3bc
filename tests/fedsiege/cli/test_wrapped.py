"""Text that is wider than its place is broken between its parts, and nothing of it is lost."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from fedsiege.cli.wrapped import Wrapped


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("two words here", ["two words", "here"]),
        ("krum:f=1,m=2/arc", ["krum:f=1,", "m=2/arc"]),
        ("one\ntwo three", ["one", "two three"]),
        ("exactly 10", ["exactly 10"]),
    ],
)
def test_lines_end_between_words_and_parameters(text: str, lines: list[str]) -> None:
    assert Wrapped(text).lines(10) == lines


@given(st.text("abc,/ =[]", max_size=80), st.integers(10, 60))
def test_nothing_is_lost_in_a_table_of_any_width(text: str, width: int) -> None:
    table = Table.grid()
    table.add_column(overflow="fold")
    table.add_row(Wrapped(text))
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    printed = output.getvalue()
    assert "".join(printed.split()) == "".join(text.split())
    assert max(map(len, printed.splitlines()), default=0) <= width
