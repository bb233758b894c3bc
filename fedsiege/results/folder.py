"""The folder that a run writes its results into."""

import json
import math
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import confusion, detection, history, participants
from fedsiege.results.atomic import whole, write_whole
from fedsiege.results.confusion import Confusion
from fedsiege.results.detection import DetectionRow
from fedsiege.results.history import HistoryRow
from fedsiege.results.participants import ParticipantRow
from fedsiege.results.table import Table

_HEADERS = {
    "history.csv": history.HEADER,
    "participants.csv": participants.HEADER,
    "classes.csv": confusion.CLASSES_HEADER,
    "confusion.csv": confusion.CONFUSION_HEADER,
    "detectors.csv": participants.VERDICTS_HEADER,
    "detection.csv": detection.HEADER,
}
_THERE_AT_ONCE = ("history.csv", "participants.csv")


def versions() -> str:
    """Say in a line what computes here."""
    return (
        f"fedsiege {version('fedsiege')}, python {platform.python_version()}, "
        f"torch {version('torch')}, numpy {version('numpy')}, {platform.platform()}"
    )


class ResultsFolder:
    """Writes the results of one run.

    Args:
        path: the folder; it is created, with its parents. It must be new or empty.

    Raises:
        InvalidValue: the folder is not empty, is no folder, or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[HistoryRow] = []
        self._tables: dict[str, Table] = {}
        self._recall: dict[int, list[float | None]] = {}
        self._class_samples: list[int] = []
        try:
            path.mkdir(parents=True, exist_ok=True)
            occupied = any(path.iterdir())
            if not occupied:
                self._append("history.csv", [])
                self._append("participants.csv", [])
        except OSError as error:
            allowed = f"a folder to write to, but: {error.strerror}"
            raise InvalidValue("OUT", str(path), allowed) from error
        if occupied:
            allowed = "a new or an empty folder; this one holds files, which are not overwritten"
            raise InvalidValue("OUT", str(path), allowed)

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

    def write_spec(self, resolved: ResolvedSpec, *, dataset_reason: str = "") -> None:
        """Write ``spec.yaml``.

        Args:
            resolved: what runs; its notes become comments.
            dataset_reason: why this data set was chosen, one sentence; empty where it was named.
        """
        comments = [
            f"FedSiege experiment of {datetime.now().astimezone().isoformat(timespec='seconds')}.",
            "Run it again with: fedsiege sim --spec spec.yaml",
            versions(),
        ]
        if resolved.knowledge:
            comments.append(f"knowledge of the attack: {resolved.knowledge}")
        if dataset_reason:
            comments.append(f"data set {resolved.spec.dataset}: {dataset_reason}")
        comments += [f"note: {note}" for note in resolved.notes]
        # splitlines, because whatever ends a line for YAML would end the comment
        lines = [f"# {line}\n" for comment in comments for line in comment.splitlines()]
        write_whole(self.path / "spec.yaml", ("".join(lines) + resolved.spec.to_yaml()).encode())

    def add_round(
        self,
        row: HistoryRow,
        people: Sequence[ParticipantRow] = (),
        tested: Confusion | None = None,
        found: Sequence[DetectionRow] = (),
    ) -> None:
        """Append a round to the tables; ``history.csv`` comes last, so a round there is complete.

        Args:
            row: the model after the round.
            people: its participants, with what the detectors said of each.
            tested: the test by class; None if the model was not tested.
            found: what the detectors' flags were worth.
        """
        number = row.round
        self._append("participants.csv", (participants.to_columns(one) for one in people))
        self._append("detectors.csv", participants.verdict_columns(people))
        self._append("detection.csv", detection.to_columns(found))
        if tested is not None:
            self._append("classes.csv", tested.class_rows(number))
            self._append("confusion.csv", tested.confusion_rows(number))
            self._recall[number] = tested.recall
            self._class_samples = tested.samples.tolist()
        self._append("history.csv", [history.to_columns(row, self.rows)])
        self.rows.append(row)

    def _append(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        """Append rows to a table, which is there from its first row on."""
        rows = list(rows)
        if name not in self._tables and (rows or name in _THERE_AT_ONCE):
            self._tables[name] = Table(self.path / name, _HEADERS[name])
        if rows:
            self._tables[name].append(rows)

    def write_picture(self, title: str, subtitle: str) -> None:
        """Draw the rounds so far into ``accuracy.png``, and ``recall.png`` where there is any.

        See ``picture.draw_history`` and ``recall_picture.draw_recall``.
        """
        from fedsiege.results.plots.accuracy import draw_history
        from fedsiege.results.plots.recall import draw_recall

        with whole(self.path / "accuracy.png") as partial:
            draw_history(self.rows, partial, title, subtitle, class_samples=self._class_samples)
        if self._recall:
            with whole(self.path / "recall.png") as partial:
                draw_recall(
                    self._recall,
                    partial,
                    title,
                    subtitle,
                    incomplete={row.round for row in self.rows if row.incomplete},
                    destroyed={row.round for row in self.rows if row.destroyed},
                )

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
        write_whole(self.path / "model.safetensors", _with_sorted_metadata(data))

    def close(self) -> None:
        """Close the tables. What was added is on disk already."""
        for table in self._tables.values():
            table.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
