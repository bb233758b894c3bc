"""Reads a results folder back, whether its run has ended or not."""

import csv
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.metrics import Detection, Discovery, discovery
from fedsiege.peer_text import plain
from fedsiege.results.atomic import in_words
from fedsiege.results.confusion import Confusion
from fedsiege.results.detection import AUDIT, RULE, SELECTION, DetectionRow
from fedsiege.results.history import CloseReason, HistoryRow
from fedsiege.results.participants import TAKEN_IN, Outcome

T = TypeVar("T")
#: Bytes that are no UTF-8, as Python spells them.
_ESCAPED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, eq=False)
class Run:
    """What a run has left behind.

    Attributes:
        path: its folder.
        spec: what ran.
        history: the rounds, round 0 first; at least that one.
        tests: by round, the test by class, as far as it was written.
        detections: what each detector's flags were worth, by round.
        discoveries: by detector, how soon it found hostile participants out; without any there
            are none. A hostile participant counts if an update of its was ever taken in.
    """

    path: Path
    spec: ExperimentSpec
    history: tuple[HistoryRow, ...]
    tests: Mapping[int, Confusion]
    detections: tuple[DetectionRow, ...]
    discoveries: Mapping[str, Discovery]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a results folder; tables that are not there have no rows.

        Raises:
            InvalidValue: it is none, or not one of this version.
        """
        spec = read_spec(path)
        try:
            history = tuple(_history(path))
            detections = tuple(_detections(path))
            detectors = dict.fromkeys(one.detector for one in detections)
            found = _discoveries(path, detectors)
            tests = _tests(path)
        except (OSError, BadTable) as error:
            said = in_words(error) if isinstance(error, OSError) else str(error)
            raise InvalidValue("RUN", str(path), f"a folder of results, but {said}") from error
        if not history:
            raise InvalidValue("RUN", str(path), "a run with results; it has none yet")
        return cls(path, spec, history, tests, detections, found)


#: What every folder of results has.
FILES = ("spec.yaml", "history.csv")


def is_run(path: Path) -> bool:
    """Whether a folder looks like one of results."""
    return all((path / name).is_file() for name in FILES)


def read_spec(path: Path) -> ExperimentSpec:
    """Read what ran.

    Raises:
        InvalidValue: there is no specification, or not one of this version.
    """
    try:
        return ExperimentSpec.from_yaml((path / "spec.yaml").read_text())
    except (OSError, UnicodeDecodeError, InvalidValue) as error:
        allowed = f"a folder of results, but its spec.yaml cannot be read: {error}"
        raise InvalidValue("RUN", str(path), allowed) from error


class BadTable(FedSiegeError):
    """A table of the results is cut, or is not one of ours; the error names file and line."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path.name}, line {line}: {plain(problem)}")


def table_rows(path: Path) -> Iterator[dict[str, str]]:
    """Read a table; one that is not there has no rows.

    Raises:
        BadTable: it is not CSV, or a row has more or fewer cells than the header.
        OSError: it cannot be read.
    """
    return (row for _, row in _numbered(path))


def _numbered(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a table; each row comes with the number of its line in the file, the header's being 1.

    Raises:
        BadTable, OSError: as ``table_rows`` does.
    """
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        last = _Last(file)
        rows = csv.reader(last)
        header: list[str] = []
        try:
            for cells in rows:
                if not last.line.endswith(("\n", "\r")):
                    raise BadTable(path, rows.line_num, f"{last.line!r} is cut")
                if not last.line.isascii() and _ESCAPED.search(last.line):
                    raise BadTable(path, rows.line_num, f"{last.line!r} is no text")
                if cells and not header:
                    header = cells
                elif cells and len(cells) != len(header):
                    problem = f"{len(cells)} cells, where the header has {len(header)}"
                    raise BadTable(path, rows.line_num, problem)
                elif cells:
                    yield rows.line_num, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise BadTable(path, rows.line_num, str(error)) from error


class _Last:
    """Lines of a file, and the last of them that was read."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.line = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.line = next(self._lines)
        return self.line


def _read(path: Path, build: Callable[[dict[str, str]], T]) -> Iterator[T]:
    """Read the rows of a table.

    Args:
        path: the table; one that is not there has no rows.
        build: makes something of a row; what it cannot read is named with its line.

    Raises:
        BadTable, OSError: as ``table_rows`` does; also a column that is missing, or a cell that
            holds something else than it should.
    """
    for line, row in _numbered(path):
        try:
            built = build(row)
        except KeyError as error:
            raise BadTable(path, 1, f"the header has no column {error}") from error
        except (ValueError, IndexError) as error:
            raise BadTable(path, line, str(error)) from error
        yield built


def _number(text: str | None) -> float | None:
    """Read a number that may be left blank, or whose column older runs lack."""
    return float(text) if text else None


def _count(text: str | None) -> int | None:
    """Read a whole number that may be left blank, or whose column older runs lack."""
    return int(text) if text else None


def _history(path: Path) -> Iterator[HistoryRow]:
    rounds = itertools.count()

    def build(row: dict[str, str]) -> HistoryRow:
        if int(row["round"]) != (expected := next(rounds)):
            raise ValueError(f"round {row['round']}, where round {expected} is expected")
        return HistoryRow(
            int(row["round"]),
            float(row["accuracy"]),
            float(row["loss"]),
            int(row["updates"]),
            int(row["rejected"]),
            float(row["seconds"]),
            int(row.get("quarantined") or 0),
            _number(row.get("asr")),
            row.get("problem") or "",
            CloseReason(row["close_reason"]) if row.get("close_reason") else None,
            _count(row.get("expected")),
            _count(row.get("missing_honest")),
            _count(row.get("missing_hostile")),
            _number(row.get("hostile_share")),
        )

    return _read(path / "history.csv", build)


def _tests(path: Path) -> dict[int, Confusion]:
    samples: dict[int, list[int]] = {}

    def count_class(row: dict[str, str]) -> None:
        samples.setdefault(int(row["round"]), []).append(int(row["samples"]))

    _drain(_read(path / "classes.csv", count_class))
    tests = {
        number: Confusion(np.zeros((len(one), len(one)), np.int64), np.array(one, np.int64))
        for number, one in samples.items()
    }

    def count_pair(row: dict[str, str]) -> None:
        place = int(row["true"]), int(row["predicted"])
        if (number := int(row["round"])) not in tests:
            raise ValueError(f"round {number} is not in classes.csv")
        tests[number].counts[place] = int(row["count"])

    _drain(_read(path / "confusion.csv", count_pair))
    return tests


def _drain(rows: Iterable[None]) -> None:
    """Read a table to its end, for what its rows do."""
    for _ in rows:
        pass


def _detections(path: Path) -> Iterator[DetectionRow]:
    def build(row: dict[str, str]) -> DetectionRow:
        worth = Detection(*(_number(row[name]) for name in ("tpr", "fpr", "precision", "auc")))
        return DetectionRow(int(row["round"]), row["detector"], worth)

    return _read(path / "detection.csv", build)


def _discoveries(path: Path, detectors: Collection[str]) -> dict[str, Discovery]:
    """Look for the first flag of each hostile participant; the tables are read row by row.

    What counts are the rounds in which it took part: before it has come, nobody can find it.
    """
    taken: dict[str, list[int]] = {}
    first: dict[tuple[str, str], int] = {}
    left_out = SELECTION if SELECTION in detectors else RULE
    flagging = {Outcome.EXCLUDED.value: left_out, Outcome.QUARANTINED.value: AUDIT}

    def look_at_participant(row: dict[str, str]) -> None:
        if row["hostile"] == "true" and row["outcome"] in TAKEN_IN:
            taken.setdefault(row["index"], []).append(int(row["round"]))
            if row["outcome"] in flagging:
                key = (flagging[row["outcome"]], row["index"])
                first.setdefault(key, int(row["round"]))

    def look_at_verdict(row: dict[str, str]) -> None:
        if row["flagged"] == "true":
            first.setdefault((row["detector"], row["index"]), int(row["round"]))

    _drain(_read(path / "participants.csv", look_at_participant))
    _drain(_read(path / "detectors.csv", look_at_verdict))

    def rounds_to(detector: str, index: str) -> int | None:
        found = first.get((detector, index))
        return None if found is None else sum(number <= found for number in taken[index])

    found = {one: discovery([rounds_to(one, index) for index in taken]) for one in detectors}
    return {detector: one for detector, one in found.items() if one is not None}
