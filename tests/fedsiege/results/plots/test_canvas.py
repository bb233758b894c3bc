"""Texts of a picture: broken into lines that are no wider than they may be."""

import pytest

from fedsiege.results.plots.canvas import broken


@pytest.mark.parametrize(
    ("text", "most", "lines"),
    [
        ("", 2, []),
        ("short", 2, ["short"]),
        ("two words here", 2, ["two words", "here"]),
        ("ten letters", 1, ["ten lette…"]),
        ("ten letters in some lines", 2, ["ten", "letters i…"]),
        ("abcdefghijklmno", 3, ["abcdefghij", "klmno"]),
        ("abcdefghijklmnopqrstuvwxyz", 2, ["abcdefghij", "klmnopqrs…"]),
        ("a bcdefghijklmno", 3, ["a", "bcdefghijk", "lmno"]),
    ],
)
def test_lines_are_broken_at_spaces_where_there_are_any(
    text: str, most: int, lines: list[str]
) -> None:
    assert broken(text, 10, most, len) == lines
