"""The folder that a run writes its results into."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from fedsiege.atomic import atomic_path, write_file
from fedsiege.errors import InvalidValue
from fedsiege.experiment.plugins_used import plugins_used
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results.confusion import ClassRow, Confusion, ConfusionRow
from fedsiege.results.detection import DetectionRow
from fedsiege.results.files import FROM_THE_START
from fedsiege.results.history import HistoryRow
from fedsiege.results.infrastructure import IntrusionRow
from fedsiege.results.participants import ParticipantRow, VerdictRow
from fedsiege.results.record import Record
from fedsiege.results.run_info import PluginUsed, RunInfo, RunState, Versions
from fedsiege.results.table import R, Table


class ResultsFolder:
    """Writes the results of one run; ``results.files`` lists the files.

    Args:
        path: the folder; it is created, with its parents. It must be new or empty.
        command: the command that started the run, word by word; empty if there was none.

    Raises:
        InvalidValue: the folder is not empty, is not a folder, or cannot be written to.
    """

    def __init__(self, path: Path, command: Sequence[str] = ()) -> None:
        self.path = path
        self.rows: list[HistoryRow] = []
        self.info = RunInfo(command=tuple(command))
        self._tables: dict[type[Record], Table[Any]] = {}
        self._recall: dict[int, list[float | None]] = {}
        self._class_samples: list[int] = []
        try:
            path.mkdir(parents=True, exist_ok=True)
            occupied = any(path.iterdir())
            if not occupied:
                for record in FROM_THE_START:
                    self._append(record, [])
        except OSError as error:
            allowed = f"a folder to write to, but: {error.strerror}"
            raise InvalidValue("OUT", str(path), allowed) from error
        if occupied:
            allowed = "a new or an empty folder; this one holds files, which are not overwritten"
            raise InvalidValue("OUT", str(path), allowed)

    @classmethod
    def named_after(
        cls,
        spec: ExperimentSpec,
        *,
        root: Path = Path("runs"),
        now: datetime | None = None,
        command: Sequence[str] = (),
    ) -> Self:
        """Create a folder of its own under ``root``: ``20261120-143000-mpaf-krum``.

        It ends with the specification's name or, where that is empty, with attack and rule.

        Args:
            spec: the specification.
            root: the parent folder.
            now: the time in the name; None for the present.
            command: as for the class.
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
            return cls(path, command)

    def start(
        self,
        resolved: ResolvedSpec,
        *,
        dataset_reason: str = "",
        initial_weights: str = "",
        initial_weights_sha256: str = "",
    ) -> None:
        """Write ``spec.yaml`` and ``run.json``.

        Args:
            resolved: what runs.
            dataset_reason: why this data set was chosen, one sentence; empty where it was named.
            initial_weights: where the weights of round 0 come from.
            initial_weights_sha256: SHA-256 of their file; empty if they are not of a file. That of
                a checkpoint which ships is known here.

        Raises:
            OSError: a file cannot be written; the error names it.
        """
        if initial_weights == "pretrained":
            from fedsiege import models  # imports torch

            shipped = models.shipped_checkpoint(resolved.spec.model, resolved.spec.dataset)
            initial_weights_sha256 = models.sha256(shipped)
        self.info = RunInfo(
            state=RunState.RUNNING,
            started=datetime.now().astimezone(),
            versions=Versions.here(),
            plugins=tuple(
                PluginUsed(components=components, **asdict(plugin))
                for plugin, components in plugins_used(resolved.spec).items()
            ),
            command=self.info.command,
            knowledge=resolved.knowledge,
            dataset_reason=dataset_reason,
            initial_weights=initial_weights,
            initial_weights_sha256=initial_weights_sha256,
            notes=resolved.notes,
            class_names=resolved.class_names,
        )
        files = "".join(f" --plugin {one.name}" for one in self.info.plugins if one.sha256)
        comment = f"# Run it again with: fedsiege sim --spec spec.yaml{files}\n"
        for one in self.info.plugins:
            comment += f"# It uses the plug-in {one}\n"
        write_file(self.path / "spec.yaml", (comment + resolved.spec.to_yaml()).encode())
        self.info.write(self.path)

    def end(self, state: RunState, reason: str = "", notes: Sequence[str] | None = None) -> None:
        """Write ``run.json`` again, with how the run ended.

        Args:
            state: the state it ended in.
            reason: why it failed; empty if it did not.
            notes: all notes of the run; None for those of its start.

        Raises:
            OSError: it cannot be written; the error names it, and the file of the start stays.
        """
        now = datetime.now().astimezone()
        started = self.info.started
        ending = {
            "state": state,
            "reason": reason,
            "ended": now,
            "seconds": (now - started).total_seconds() if started else None,
        }
        if notes is not None:
            ending["notes"] = tuple(notes)
        self.info = self.info.model_copy(update=ending)
        self.info.write(self.path)

    def add_round(
        self,
        row: HistoryRow,
        participants: Sequence[ParticipantRow] = (),
        tested: Confusion | None = None,
        found: Sequence[DetectionRow] = (),
    ) -> None:
        """Append a round to the tables; ``history.csv`` comes last, so a round there is complete.

        Args:
            row: the model after the round.
            participants: its participants, with the verdicts of the detectors.
            tested: the test by class; None if the model was not tested.
            found: the flags of the detectors compared with the truth.
        """
        number = row.round
        self._append(ParticipantRow, participants)
        self._append(VerdictRow, [said for one in participants for said in VerdictRow.of(one)])
        self._append(DetectionRow, found)
        if tested is not None:
            self._append(ClassRow, tested.class_rows(number))
            self._append(ConfusionRow, tested.confusion_rows(number))
            self._recall[number] = tested.recall
            self._class_samples = tested.samples.tolist()
        row = row.after(self.rows)
        self._append(HistoryRow, [row])
        self.rows.append(row)

    def add_intrusions(self, rows: Iterable[IntrusionRow]) -> None:
        """Append to ``intrusions.csv``."""
        self._append(IntrusionRow, rows)

    def _append(self, record: type[R], rows: Iterable[R]) -> None:
        """Append rows to a table, which is created with its first row."""
        rows = list(rows)
        if record not in self._tables and (rows or record in FROM_THE_START):
            self._tables[record] = Table(self.path / record.file, record)
        if rows:
            self._tables[record].append(rows)

    def write_plots(self, title: str, subtitle: str) -> None:
        """Draw the rounds so far into ``accuracy.png``, and ``recall.png`` where there is any.

        See ``plots.accuracy.draw_history`` and ``plots.recall.draw_recall``.
        """
        from fedsiege.results.plots.accuracy import draw_history
        from fedsiege.results.plots.recall import draw_recall

        with atomic_path(self.path / "accuracy.png") as partial:
            draw_history(self.rows, partial, title, subtitle, class_samples=self._class_samples)
        if self._recall:
            with atomic_path(self.path / "recall.png") as partial:
                draw_recall(
                    self._recall,
                    partial,
                    title,
                    subtitle,
                    incomplete={row.round for row in self.rows if row.incomplete},
                    destroyed={row.round for row in self.rows if row.destroyed},
                    names=self.info.class_names,
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
        write_file(self.path / "model.safetensors", _with_sorted_metadata(data))

    def close(self) -> None:
        """Close the tables; their rows are on disk already."""
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
