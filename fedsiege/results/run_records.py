"""Reads the records of a results folder back, whether its run has ended or not."""

import contextlib
import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from fedsiege.atomic import describe_error
from fedsiege.errors import InvalidValue
from fedsiege.experiment.knowledge import Knowledge
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.metrics import Discovery, discovery
from fedsiege.results.confusion import ClassRow, Confusion, ConfusionRow
from fedsiege.results.detection import AUDIT, RULE, SELECTION, DetectionRow
from fedsiege.results.files import REQUIRED
from fedsiege.results.history import HistoryRow
from fedsiege.results.participants import TAKEN_IN, Outcome, ParticipantRow, VerdictRow
from fedsiege.results.run_info import RunInfo
from fedsiege.results.table import BadTable, read_table


@dataclass(frozen=True, eq=False)
class RunRecords:
    """The results of a run.

    Attributes:
        path: its folder.
        spec: what ran.
        history: the rounds, round 0 first; at least that one.
        tests: by round, the test by class, as far as it was written.
        detections: the flags of each detector compared with the truth, by round.
        discoveries: by detector, how soon it found hostile participants; empty without any. A
            hostile participant counts if an update of its was ever taken in.
        info: what the run was, beside its settings.
    """

    path: Path
    spec: ExperimentSpec
    history: tuple[HistoryRow, ...]
    tests: Mapping[int, Confusion]
    detections: tuple[DetectionRow, ...]
    discoveries: Mapping[str, Discovery]
    info: RunInfo = field(default_factory=RunInfo)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a results folder; tables that do not exist have no rows.

        Raises:
            InvalidValue: it is not one, or not one of this version.
        """
        spec = read_spec(path)
        with reading(path):
            info = RunInfo.read(path)
            history = read_history(path)
            detections = tuple(row for _, row in read_table(path / DetectionRow.file, DetectionRow))
            found = _discoveries(path, dict.fromkeys(one.detector for one in detections))
            tests = _tests(path)
        return cls(path, spec, history, tests, detections, found, info)

    @property
    def knowledge(self) -> Knowledge | None:
        """What the attack is handed, as recorded or as this version has it; None without one."""
        return self.info.knowledge or Knowledge.of(self.spec)


def is_run(path: Path) -> bool:
    """Whether a folder looks like one of results."""
    return all((path / name).is_file() for name in REQUIRED)


def find_run(option: str, name: str, runs: Path) -> Path:
    """Find a results folder.

    Args:
        option: what the user calls it, for the error.
        name: a path, or the name of a folder in ``runs``.
        runs: where results folders are.

    Raises:
        InvalidValue: there is none; the error lists the nearest.
    """
    for path in (Path(name), runs / name):
        if is_run(path):
            return path
        if path.is_dir() and name:
            missing = [one for one in REQUIRED if not (path / one).is_file()]
            allowed = f"a folder of results; it has no {' and no '.join(missing)}"
            raise InvalidValue(option, name, allowed)
    there = [path.name for path in sorted(runs.glob("*")) if is_run(path)]
    near = [one for one in there if name and name in one][-3:]
    near += difflib.get_close_matches(name, there, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(list(dict.fromkeys(near))[:3])}?" if near else ""
    raise InvalidValue(option, name, hint or f"a folder of results, or the name of one in {runs}")


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


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Raise what a file of a results folder has wrong, in the block, as InvalidValue."""
    try:
        yield
    except (OSError, BadTable) as error:
        said = describe_error(error) if isinstance(error, OSError) else str(error)
        raise InvalidValue("RUN", str(folder), f"a folder of results, but {said}") from error


def read_history(folder: Path) -> tuple[HistoryRow, ...]:
    """Read ``history.csv``; columns that an older version did not have are computed.

    Raises:
        InvalidValue: there is no round yet.
        BadTable, OSError: as ``read_table``; also a round that is missing.
    """
    path, rows = folder / HistoryRow.file, list[HistoryRow]()
    for line, row in read_table(path, HistoryRow):
        if row.round != len(rows):
            raise BadTable(path, line, f"round {row.round}, where round {len(rows)} is expected")
        rows.append(row if row.instability is not None else row.after(rows))
    if not rows:
        raise InvalidValue("RUN", str(folder), "a run with results; it has none yet")
    return tuple(rows)


def _tests(folder: Path) -> dict[int, Confusion]:
    """Read ``classes.csv`` and ``confusion.csv``.

    Raises:
        BadTable, OSError: as ``read_table``; also a round or a class of the second that is not in
            the first.
    """
    samples: dict[int, list[int]] = {}
    for _, of_class in read_table(folder / ClassRow.file, ClassRow):
        samples.setdefault(of_class.round, []).append(of_class.samples)
    tests = {
        number: Confusion(np.zeros((len(one), len(one)), np.int64), np.array(one, np.int64))
        for number, one in samples.items()
    }
    path = folder / ConfusionRow.file
    for line, pair in read_table(path, ConfusionRow):
        if pair.round not in tests:
            raise BadTable(path, line, f"round {pair.round} is not in {ClassRow.file}")
        counts = tests[pair.round].counts
        for label in (pair.true, pair.predicted):
            if not 0 <= label < len(counts):
                raise BadTable(path, line, f"class {label} is not in {ClassRow.file}")
        counts[pair.true, pair.predicted] = pair.count
    return tests


def _discoveries(folder: Path, detectors: Collection[str]) -> dict[str, Discovery]:
    """Find the first flag of each hostile participant; the tables are read row by row.

    Only rounds in which it took part count: before that it cannot be found.
    """
    taken: dict[int, list[int]] = {}
    first: dict[tuple[str, int], int] = {}
    left_out = SELECTION if SELECTION in detectors else RULE
    flagging = {Outcome.EXCLUDED: left_out, Outcome.QUARANTINED: AUDIT}
    for _, row in read_table(folder / ParticipantRow.file, ParticipantRow):
        if row.hostile and row.outcome in TAKEN_IN:
            taken.setdefault(row.index, []).append(row.round)
            if row.outcome in flagging:
                first.setdefault((flagging[row.outcome], row.index), row.round)
    for _, said in read_table(folder / VerdictRow.file, VerdictRow):
        if said.flagged:
            first.setdefault((said.detector, said.index), said.round)

    def rounds_to(detector: str, index: int) -> int | None:
        found = first.get((detector, index))
        return None if found is None else sum(number <= found for number in taken[index])

    found = {one: discovery([rounds_to(one, index) for index in taken]) for one in detectors}
    return {detector: one for detector, one in found.items() if one is not None}
