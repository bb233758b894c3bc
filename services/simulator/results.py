"""The results of a run: files first.

``runs/<time-and-name>/`` holds

- ``spec.yaml``: the settled specification, fit to be fed back; versions and notes as comments;
- ``history.csv``: one row per round, row 0 before any;
- ``participants.csv``: one row per participant and round;
- ``accuracy.png``: the accuracy over the rounds;
- ``model.safetensors``: the last global model;
- with worker containers, ``containers.csv`` and ``faults.csv``: see ``fleet.statistics`` and
  ``fleet.faulting``.

The tables grow round by round and reach the disk at once, so a run that is killed leaves valid
files. The other files appear whole or not at all.
"""

import enum
import json
import math
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from fedsiege.errors import InvalidValue
from fedsiege.spec import ExperimentSpec, Settled
from services.simulator.table import Table

HISTORY_HEADER = ("round", "accuracy", "loss", "updates", "rejected", "seconds")
PARTICIPANTS_HEADER = (
    "index",
    "identity",
    "hostile",
    "round",
    "norm",
    "outcome",
    "accepted",
    "flagged",
)


@dataclass(frozen=True)
class HistoryRow:
    """The global model after a round.

    Attributes:
        round: 0 is the model before any round.
        accuracy: share of the held-out samples classified correctly, 0 to 1.
        loss: mean cross entropy in nats; inf or nan for a destroyed model.
        updates: updates aggregated.
        rejected: participants whose update was refused.
        seconds: from the opening of the round to the end of the test.
    """

    round: int
    accuracy: float
    loss: float
    updates: int
    rejected: int
    seconds: float


class Outcome(enum.StrEnum):
    """What became of a participant in a round, as the aggregator says."""

    NOT_SCHEDULED = "not_scheduled"
    MISSING = "missing"
    REJECTED = "rejected"
    EXCLUDED = "excluded"
    ACCEPTED = "accepted"


@dataclass(frozen=True)
class ParticipantRow:
    """One participant in one round.

    Attributes:
        index: the participant index.
        identity: who enrolled under it.
        hostile: the ground truth, which only the simulator knows.
        round: the round, 1 or more.
        norm: L2 norm of the update, or None if none was taken in.
        outcome: what became of the update.
        flagged: a detector holds the participant suspect.
    """

    index: int
    identity: str
    hostile: bool
    round: int
    norm: float | None
    outcome: Outcome
    flagged: bool

    @property
    def accepted(self) -> bool:
        """Whether the update had weight."""
        return self.outcome is Outcome.ACCEPTED


@dataclass(frozen=True)
class Cost:
    """What happened to the accuracy over a run.

    Attributes:
        before: accuracy before any round, 0 to 1.
        after: accuracy after the last round.
        lowest: the lowest accuracy of all.
        lowest_round: the first round in which it was that low.
        half_gone: the first round after which half of the accuracy above chance, or more, was
            gone; None if it never was, or if the model began at chance.
    """

    before: float
    after: float
    lowest: float
    lowest_round: int
    half_gone: int | None

    @property
    def points_lost(self) -> float:
        """Percentage points lost from before to after; negative if some were gained."""
        return 100 * (self.before - self.after)

    @classmethod
    def of(cls, rows: Sequence[HistoryRow], *, chance: float = 0.1) -> Self:
        """Compute the cost.

        Args:
            rows: the history from round 0 on, at least that one.
            chance: accuracy of random guessing, 0 to 1; one tenth for ten classes.
        """
        before = rows[0].accuracy
        lowest = min(rows, key=lambda row: row.accuracy)
        half = chance + (before - chance) / 2
        gone = (row.round for row in rows if before > chance and row.accuracy <= half)
        return cls(before, rows[-1].accuracy, lowest.accuracy, lowest.round, next(gone, None))


class ResultsFolder:
    """Writes the results of one run.

    Args:
        path: the folder; it is created, with its parents. It must be new or empty.

    Raises:
        InvalidValue: the folder is not empty, is no folder, or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
            occupied = any(path.iterdir())
            if not occupied:
                self._history = Table(path / "history.csv", HISTORY_HEADER)
                self._participants = Table(path / "participants.csv", PARTICIPANTS_HEADER)
        except OSError as error:
            allowed = f"a folder to write to, but: {error.strerror}"
            raise InvalidValue("OUT", str(path), allowed) from error
        if occupied:
            allowed = "a new or an empty folder; this one holds files, which are not overwritten"
            raise InvalidValue("OUT", str(path), allowed)
        self.path = path
        self.rows: list[HistoryRow] = []

    @classmethod
    def named_after(
        cls, spec: ExperimentSpec, *, root: Path = Path("runs"), now: datetime | None = None
    ) -> Self:
        """Create a folder of its own under ``root``: ``20261120-143000-mpaf-krum``.

        It ends with the specification's name or, where that is empty, with attack and rule.

        Args:
            spec: the specification.
            root: the parent folder.
            now: the time in the name; None for the present.
        """
        attack = spec.attack_name.partition(":")[0] if spec.attack else "no-attack"
        name = spec.name or f"{attack}-{spec.rule.partition(':')[0]}"
        name = re.sub(r"[^\w.]+", "-", name).encode()[:120].decode(errors="ignore")
        name = name.strip("-.") or "run"
        stem = f"{now or datetime.now():%Y%m%d-%H%M%S}-{name}"
        suffix = 1
        while True:
            path = root / (stem if suffix == 1 else f"{stem}-{suffix}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                suffix += 1
                continue
            except OSError as error:
                allowed = f"a folder to write to, but: {error.strerror}"
                raise InvalidValue("OUT", str(path), allowed) from error
            return cls(path)

    def write_spec(self, settled: Settled, *, dataset_reason: str = "") -> None:
        """Write ``spec.yaml``.

        Args:
            settled: what runs; its notes become comments.
            dataset_reason: why this data set was chosen, one sentence; empty where it was named.
        """
        comments = [
            f"FedSiege experiment of {datetime.now().astimezone().isoformat(timespec='seconds')}.",
            "Run it again with: fedsiege sim --spec spec.yaml",
            f"fedsiege {version('fedsiege')}, python {platform.python_version()}, "
            f"torch {version('torch')}, numpy {version('numpy')}, {platform.platform()}",
        ]
        if dataset_reason:
            comments.append(f"data set {settled.spec.dataset}: {dataset_reason}")
        comments += [f"note: {note}" for note in settled.notes]
        # splitlines, because whatever ends a line for YAML would end the comment
        lines = [f"# {line}\n" for comment in comments for line in comment.splitlines()]
        _write(self.path / "spec.yaml", ("".join(lines) + settled.spec.to_yaml()).encode())

    def add_round(self, row: HistoryRow, participants: Iterable[ParticipantRow] = ()) -> None:
        """Append a round to ``history.csv`` and its participants to ``participants.csv``."""
        self._participants.append(
            (p.index, p.identity, p.hostile, p.round, p.norm, p.outcome, p.accepted, p.flagged)
            for p in participants
        )
        self._history.append(
            [(row.round, row.accuracy, row.loss, row.updates, row.rejected, round(row.seconds, 6))]
        )
        self.rows.append(row)

    def write_picture(self, title: str, subtitle: str) -> None:
        """Draw the rounds so far into ``accuracy.png``; see ``picture.draw_history``."""
        from services.simulator.picture import draw_history

        whole = self.path / "accuracy.png"
        partial = _partial(whole)
        draw_history(self.rows, partial, title, subtitle)
        os.replace(partial, whole)

    def write_model(
        self,
        layout: Iterable[tuple[str, tuple[int, ...]]],
        weights: npt.NDArray[np.float32],
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write ``model.safetensors``. Equal input gives an equal file, byte for byte.

        Args:
            layout: name and shape of each tensor, in the order of the flat weights.
            weights: ``(d,)`` float32, the model's weights, flat.
            metadata: what to say about the model, for instance the rounds it took.

        Raises:
            InvalidValue: the weights are not as many as the layout asks for.
        """
        tensors: dict[str, npt.NDArray[np.float32]] = {}
        begin = 0
        for name, shape in layout:
            end = begin + math.prod(shape)
            if end <= weights.size:
                tensors[name] = weights[begin:end].reshape(shape)
            begin = end
        if weights.shape != (begin,):
            raise InvalidValue("weights", weights.shape, f"the layout asks for ({begin},)")
        data = save(tensors, metadata=dict(metadata or {}))
        _write(self.path / "model.safetensors", _with_sorted_metadata(data))

    def close(self) -> None:
        """Close the tables. What was added is on disk already."""
        self._history.close()
        self._participants.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all."""
    partial = _partial(path)
    partial.write_bytes(data)
    os.replace(partial, path)


def _partial(path: Path) -> Path:
    return path.with_name(f".partial-{path.name}")


def _with_sorted_metadata(data: bytes) -> bytes:
    """Return the same safetensors file with its metadata in alphabetical order.

    The library writes them in an order that changes from process to process.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + data[end:]
