"""Tests of the conversion between rows of history.csv and messages."""

import math
from dataclasses import replace

import pytest
from google.protobuf.struct_pb2 import Struct

from fedsiege.results import CloseReason, HistoryRow
from fedsiege.services.rpc.history_rows import row_message, row_of

ROW = HistoryRow(round=0, accuracy=0.0, loss=0.0, updates=0, rejected=0, seconds=0.0)


def test_a_row_survives_its_message():
    """Whole numbers, absent values, text and numbers that are not finite: what a Struct changes."""
    for changes in (
        {"round": 12, "accuracy": 1.0, "seconds": 1 / 3, "updates": 2**40},
        {"loss": math.inf, "problem": "8.0", "close_reason": CloseReason.DEADLINE},
        {"asr": 0.1, "missing_honest": 0, "hostile_share": 1e-300},
    ):
        changed = replace(ROW, **changes)
        assert row_of(row_message(changed)) == changed
    destroyed = row_of(row_message(replace(ROW, loss=math.nan)))
    assert destroyed.destroyed


def test_an_unknown_column_is_ignored_and_text_is_made_printable():
    message = row_message(replace(ROW, problem="\x1b[2J" + "x" * 1_000_000))
    message.update({"of_a_later_version": {"a": [1]}})
    row = row_of(message)
    assert row.problem.isprintable()
    assert len(row.problem) < 2_100


@pytest.mark.parametrize(
    "changes",
    [{"round": 1e300}, {"round": 0.5}, {"accuracy": "much"}, {"updates": [1]}, {"loss": None}],
)
def test_a_value_of_another_type_is_refused(changes):
    message = row_message(ROW)
    message.update(changes)
    with pytest.raises(ValueError, match=r"."):
        row_of(message)


def test_a_missing_column_is_named():
    with pytest.raises(KeyError, match="round"):
        row_of(Struct())
