"""Reads a results folder back, whether its run has ended or not."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from fedsiege.errors import InvalidValue
from fedsiege.metrics import Detection, Discovery, discovery
from fedsiege.spec import ExperimentSpec
from services.simulator.results.confusion import Confusion
from services.simulator.results.detection import AUDIT, RULE, DetectionRow
from services.simulator.results.history import CloseReason, HistoryRow
from services.simulator.results.participants import TAKEN_IN, Outcome


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
        except (OSError, UnicodeDecodeError, KeyError, ValueError, IndexError) as error:
            allowed = f"a folder of results, but: {type(error).__name__}: {error}"
            raise InvalidValue("RUN", str(path), allowed) from error
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
    except (OSError, UnicodeDecodeError) as error:
        allowed = f"a folder of results, but its spec.yaml cannot be read: {error}"
        raise InvalidValue("RUN", str(path), allowed) from error


def table_rows(path: Path) -> Iterator[dict[str, str]]:
    """Read a table; one that is not there has no rows."""
    if path.exists():
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def _number(text: str | None) -> float | None:
    """Read a number that may be left blank, or whose column older runs lack."""
    return float(text) if text else None


def _count(text: str | None) -> int | None:
    """Read a whole number that may be left blank, or whose column older runs lack."""
    return int(text) if text else None


def _history(path: Path) -> Iterator[HistoryRow]:
    for row in table_rows(path / "history.csv"):
        yield HistoryRow(
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


def _tests(path: Path) -> dict[int, Confusion]:
    samples: dict[int, list[int]] = {}
    for row in table_rows(path / "classes.csv"):
        samples.setdefault(int(row["round"]), []).append(int(row["samples"]))
    tests = {
        number: Confusion(np.zeros((len(one), len(one)), np.int64), np.array(one, np.int64))
        for number, one in samples.items()
    }
    for row in table_rows(path / "confusion.csv"):
        place = int(row["true"]), int(row["predicted"])
        tests[int(row["round"])].counts[place] = int(row["count"])
    return tests


def _detections(path: Path) -> Iterator[DetectionRow]:
    for row in table_rows(path / "detection.csv"):
        worth = Detection(*(_number(row[name]) for name in ("tpr", "fpr", "precision", "auc")))
        yield DetectionRow(int(row["round"]), row["detector"], worth)


def _discoveries(path: Path, detectors: Iterable[str]) -> dict[str, Discovery]:
    """Look for the first flag of each hostile participant; the tables are read row by row.

    What counts are the rounds in which it took part: before it has come, nobody can find it.
    """
    taken: dict[str, list[int]] = {}
    first: dict[tuple[str, str], int] = {}
    flagging = {Outcome.EXCLUDED.value: RULE, Outcome.QUARANTINED.value: AUDIT}
    for row in table_rows(path / "participants.csv"):
        if row["hostile"] == "true" and row["outcome"] in TAKEN_IN:
            taken.setdefault(row["index"], []).append(int(row["round"]))
            if row["outcome"] in flagging:
                key = (flagging[row["outcome"]], row["index"])
                first.setdefault(key, int(row["round"]))
    for row in table_rows(path / "detectors.csv"):
        if row["flagged"] == "true":
            first.setdefault((row["detector"], row["index"]), int(row["round"]))

    def rounds_to(detector: str, index: str) -> int | None:
        found = first.get((detector, index))
        return None if found is None else sum(number <= found for number in taken[index])

    found = {one: discovery([rounds_to(one, index) for index in taken]) for one in detectors}
    return {detector: one for detector, one in found.items() if one is not None}
