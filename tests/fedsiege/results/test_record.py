"""A column is declared once: header, writing, reading, JSON, frame, screen and documents follow."""

import csv
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import pandas
import pytest

from fedsiege.cli.history_table import history_table
from fedsiege.results import CloseReason, HistoryRow, Outcome, ParticipantRow, Standing
from fedsiege.results.files import TABLES
from fedsiege.results.infrastructure import ContainerRow, FaultRow, IntrusionRow
from fedsiege.results.record import Column, Record, brief, fixed, whole
from fedsiege.results.table import BadTable, Table, read_table


@dataclass(frozen=True)
class Wider(HistoryRow):
    """The history with one more column."""

    drift: Annotated[float | None, Column("Distance to the first model.", in_file=fixed(2))] = None


def wider(number: int, drift: float | None) -> Wider:
    return Wider(number, 0.5, math.nan, 5, 0, 0.1, asr=0.25, problem="=1+1", drift=drift)


def written(path: Path, *rows: Record) -> Path:
    table = Table(path, type(rows[0]))
    table.append(rows)
    table.close()
    return path


def test_a_further_column_needs_its_field_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "history.csv", wider(0, None), wider(1, 1.5))
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == [*HistoryRow.header(), "drift"]
    assert (first["drift"], second["drift"]) == ("", "1.50")
    (_, _), (line, read) = read_table(path, Wider)
    assert (line, read.drift, read.problem) == (3, 1.5, "=1+1")
    assert read.to_json()["drift"] == 1.5
    assert "drift" in history_table([wider(0, None), wider(1, 1.5)], {})._columns
    assert "drift" not in history_table([wider(0, None)], {})._columns, "it is empty in all rows"
    # a file of before, which does not have it
    older = written(tmp_path / "older.csv", HistoryRow(0, 0.5, 1.0, 5, 0, 0.1))
    ((_, before),) = read_table(older, Wider)
    assert before.drift is None


def test_on_the_screen_a_zero_is_nothing_or_a_number() -> None:
    assert [brief(value) for value in (None, 0, 3, False, 0.5)] == ["", "", "3", "", "0.5"]
    assert [whole(value) for value in (None, 0, 3)] == ["", "0", "3"]
    (screen,) = [history_table([HistoryRow(0, 0.5, 1.0, 0, 0, 0.1)], {})._columns]
    assert [screen[name] for name in ("round", "updates", "seconds")] == [["0"], ["0"], ["0.10"]]


def test_every_row_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    rows: list[Record] = [
        HistoryRow(
            *(3, 0.1, math.inf, 4, 1, 0.123457, 2, 0.25, 0.5, "-a problem"),
            close_reason=CloseReason.DEADLINE,
            expected=9,
            missing_honest=0,
            hostile_share=1 / 3,
        ),
        ParticipantRow(
            *(7, "@SUM(1), \n'x'", True, 3, None, Outcome.QUARANTINED, True, -0.5),
            standing=Standing.PROBATION,
            returns_in_round=5,
        ),
        ContainerRow(1.5, 0, "client-1", "paused", 0.25, None, 1024),
        FaultRow(2, "client-1", None, "kill", 0.5, None),
        IntrusionRow("sybils", 10, 3, 1.25, 2.4, "QUOTA:7"),
    ]
    for row in rows:
        ((_, read),) = read_table(written(tmp_path / row.file, row), type(row))
        assert read == row


def test_cells_are_spelled_as_readers_of_csv_expect(tmp_path: Path) -> None:
    row = ParticipantRow(7, "=1+1", True, 1, None, Outcome.ACCEPTED, False, math.inf)
    path = written(tmp_path / "participants.csv", row)
    assert path.read_text().splitlines()[1] == "7,'=1+1,true,1,,accepted,true,false,inf,,0,0"


def test_a_cell_of_another_type_is_named_with_its_line(tmp_path: Path) -> None:
    good = ParticipantRow(7, "w/7", True, 1, 0.5, Outcome.ACCEPTED, False)
    path = written(tmp_path / "participants.csv", good, good)
    text = path.read_text()
    for old, new, words in (
        ("7,w/7,true", "seven,w/7,true", "'seven'"),
        ("w/7,true", "w/7,yes", "'yes' is neither true nor false"),
        ("accepted", "lost", "'lost' is not a valid Outcome"),
        (",1,0.5,", ",,0.5,", "invalid literal"),
    ):
        head, _, last = text.rstrip("\n").rpartition("\n")
        path.write_text(f"{head}\n{last.replace(old, new, 1)}\n")
        with pytest.raises(BadTable, match=rf"participants\.csv, line 3: .*{words}"):
            list(read_table(path, ParticipantRow))


def test_every_column_says_what_it_means_and_no_file_has_one_twice() -> None:
    files = [record.file for record in TABLES]
    assert len(files) == len(set(files))
    for record in TABLES:
        assert record.columns(), record
        for name, column in record.columns().items():
            assert column.text.endswith("."), (record.file, name)


def test_no_field_of_a_record_is_forgotten_as_a_column() -> None:
    """Only the verdicts are in a file of their own."""
    for record in TABLES:
        attributes = {one.name for one in fields(record)} - {"verdicts"}
        assert len(attributes) == len(record.header()), record.file


@dataclass(frozen=True)
class Typed(Record):
    """A column of each type."""

    file: ClassVar[str] = "typed.csv"

    count: Annotated[int, Column("A number.")]
    maybe: Annotated[int | None, Column("A number or nothing.")]
    share: Annotated[float | None, Column("A share or nothing.")]
    yes: Annotated[bool, Column("True or false.")]
    perhaps: Annotated[bool | None, Column("True, false or nothing.")]
    reason: Annotated[CloseReason | None, Column("A reason or nothing.")]


def test_a_data_frame_has_the_columns_with_their_types() -> None:
    deadline = CloseReason.DEADLINE
    rows = [Typed(1, None, 0.5, True, None, deadline), Typed(2, 7, None, False, False, None)]
    frame = Typed.frame(rows)
    types = {
        "count": "int64",
        "maybe": "Int64",
        "share": "float64",
        "yes": "bool",
        "perhaps": "boolean",
        "reason": "string",
    }
    assert {name: str(one) for name, one in frame.dtypes.items()} == types
    assert frame["maybe"][1] == 7
    assert frame["maybe"][0] is pandas.NA
    assert math.isnan(frame["share"][1])
    assert frame["reason"][0] == "deadline"
    assert frame["perhaps"][0] is pandas.NA
    assert not frame["perhaps"][1]
    empty = Typed.frame([])
    assert len(empty) == 0
    assert {name: str(one) for name, one in empty.dtypes.items()} == types, "also without rows"
