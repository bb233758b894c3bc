"""The results folder: what stands in the files, and that they are whole at every moment."""

import csv
import errno
import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from fedsiege.atomic import describe_error
from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import (
    Confusion,
    DetectionRow,
    HistoryRow,
    Outcome,
    ParticipantRow,
    ResultsFolder,
    Standing,
    Verdict,
)

NOON = datetime(2026, 11, 20, 12, 0, 0)


def history(*accuracies: float) -> list[HistoryRow]:
    return [HistoryRow(i, a, 1 - a, 100, 0, 0.25) for i, a in enumerate(accuracies)]


def participant(**changes: Any) -> ParticipantRow:
    values: dict[str, Any] = {
        "index": 7,
        "identity": "client-1/7",
        "hostile": False,
        "round": 1,
        "norm": 0.5,
        "outcome": Outcome.ACCEPTED,
        "flagged": False,
    }
    return ParticipantRow(**(values | changes))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    with ResultsFolder(tmp_path / "run") as folder:
        yield folder


# --- the folder -----------------------------------------------------------------------------------


def test_an_empty_folder_is_taken_and_a_full_one_refused_untouched(tmp_path: Path) -> None:
    tmp_path.joinpath("notes.txt").write_text("mine")
    with pytest.raises(InvalidValue, match=r"^OUT=.*not overwritten"):
        ResultsFolder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    tmp_path.joinpath("notes.txt").unlink()
    ResultsFolder(tmp_path).close()
    assert tmp_path.joinpath("history.csv").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidValue, match=r"^OUT=.*a folder to write to"):
            ResultsFolder(path)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"rule": "krum:f=20"}, "20261120-120000-mpaf-krum"),
        ({"attack": 0}, "20261120-120000-no-attack-fedavg"),
        ({"name": "the 50 % case"}, "20261120-120000-the-50-case"),
        ({"name": "../../etc/passwd"}, "20261120-120000-etc-passwd"),
        ({"name": "Übung"}, "20261120-120000-Übung"),
        ({"name": "€" * 100}, "20261120-120000-run"),
        ({"name": "字" * 100}, "20261120-120000-" + "字" * 40),  # 300 bytes are no file name
    ],
)
def test_the_name_tells_time_and_experiment(
    tmp_path: Path, settings: dict[str, object], expected: str
) -> None:
    spec = ExperimentSpec.of(settings)
    with ResultsFolder.named_after(spec, root=tmp_path / "runs", now=NOON) as folder:
        assert folder.path == tmp_path / "runs" / expected
        assert folder.path.is_dir()


def test_two_runs_in_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    spec = ExperimentSpec(name="twin")
    folders = [ResultsFolder.named_after(spec, root=tmp_path, now=NOON) for _ in range(3)]
    assert [f.path.name for f in folders] == [
        "20261120-120000-twin",
        "20261120-120000-twin-2",
        "20261120-120000-twin-3",
    ]
    for folder in folders:
        folder.close()


# --- the tables -----------------------------------------------------------------------------------


def test_the_columns_that_programs_rely_on_stay_where_they_are(folder: ResultsFolder) -> None:
    """Further columns come behind them; docs/results.md lists them all."""
    (header,) = (folder.path / "history.csv").read_text().splitlines()
    assert f"{header},".startswith(
        "round,accuracy,loss,updates,rejected,seconds,quarantined,instability,asr,problem,"
        "close_reason,expected,missing_honest,missing_hostile,hostile_share,"
    )


def test_each_round_is_on_disk_before_the_next(folder: ResultsFolder) -> None:
    for row in history(0.9325, 0.911, 0.743):
        folder.add_round(row, [participant(round=row.round)])
        last = read(folder.path / "history.csv")[-1]
        assert (int(last["round"]), float(last["accuracy"])) == (row.round, row.accuracy)
        assert read(folder.path / "participants.csv")[-1]["round"] == str(row.round)


@given(
    accuracy=st.floats(0, 1),
    loss=st.floats(),
    updates=st.integers(0, 2**32 - 1),
    seconds=st.floats(0, 86_400),
)
def test_history_rows_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    accuracy: float,
    loss: float,
    updates: int,
    seconds: float,
) -> None:
    path = tmp_path_factory.mktemp("run")
    with ResultsFolder(path) as folder:
        folder.add_round(HistoryRow(3, accuracy, loss, updates, 1, seconds))
    (row,) = read(path / "history.csv")
    assert float(row["accuracy"]) == accuracy
    assert float(row["loss"]) == loss or (math.isnan(loss) and row["loss"] == "nan")
    assert (int(row["round"]), int(row["updates"]), int(row["rejected"])) == (3, updates, 1)
    assert float(row["seconds"]) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "spelled"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")]
)
def test_a_destroyed_model_is_written_down(
    folder: ResultsFolder, loss: float, spelled: str
) -> None:
    folder.add_round(HistoryRow(1, 0.098, loss, 100, 0, 0.1))
    assert read(folder.path / "history.csv")[0]["loss"] == spelled


def test_participants_are_one_row_each(folder: ResultsFolder) -> None:
    folder.add_round(
        history(0.9)[0],
        [
            participant(identity='a "quoted", name\nand a line'),
            participant(index=8, hostile=True, flagged=True, outcome=Outcome.EXCLUDED),
            participant(index=9, norm=None, outcome=Outcome.MISSING),
            participant(index=10, norm=math.inf, outcome=Outcome.REJECTED),
            participant(
                index=11,
                outcome=Outcome.QUARANTINED,
                score=0.0,
                standing=Standing.QUARANTINED,
                returns_in_round=5,
                quarantines=2,
            ),
        ],
    )
    first, second, third, fourth, fifth = read(folder.path / "participants.csv")
    assert first == {
        "index": "7",
        "identity": 'a "quoted", name\nand a line',
        "hostile": "false",
        "round": "1",
        "norm": "0.5",
        "outcome": "accepted",
        "accepted": "true",
        "flagged": "false",
        "score": "",
        "standing": "",
        "returns_in_round": "0",
        "quarantines": "0",
    }
    assert [second[k] for k in ("hostile", "accepted", "flagged")] == ["true", "false", "true"]
    assert (third["norm"], third["outcome"]) == ("", "missing")
    assert fourth["norm"] == "inf"
    assert (fifth["outcome"], fifth["standing"]) == ("quarantined", "quarantined")
    assert (fifth["score"], fifth["returns_in_round"], fifth["quarantines"]) == ("0.0", "5", "2")


@pytest.mark.parametrize(("ours", "theirs"), [(Outcome, "Outcome"), (Standing, "Standing")])
def test_names_are_those_of_the_contract(ours: Any, theirs: str) -> None:
    from fedsiege.v1 import aggregator_pb2

    values = getattr(aggregator_pb2, theirs).DESCRIPTOR.values
    names = [value.name.removeprefix(f"{theirs.upper()}_").lower() for value in values]
    assert [one.value for one in ours] == names[1:]


def test_the_instability_counts_the_rounds_and_not_what_was_before_them(
    folder: ResultsFolder,
) -> None:
    for row in history(0.9, 0.25, 0.75, 0.5):
        folder.add_round(row)
    unstable = [row["instability"] for row in read(folder.path / "history.csv")]
    assert unstable[:3] == ["", "", "0.25"]
    assert float(unstable[3]) == pytest.approx(math.sqrt(0.125 / 3))


def test_a_backdoor_and_an_audit_show_in_the_history(folder: ResultsFolder) -> None:
    folder.add_round(HistoryRow(1, 0.9, 0.5, 10, 0, 0.1, quarantined=3, asr=0.0))
    (row,) = read(folder.path / "history.csv")
    assert (row["quarantined"], row["asr"]) == ("3", "0.0")


def test_a_test_by_class_is_written_without_the_pairs_that_did_not_occur(
    folder: ResultsFolder,
) -> None:
    tested = Confusion(np.array([[3, 1, 0], [0, 0, 2], [0, 0, 0]]), np.array([4, 5, 0]))
    folder.add_round(history(0.9)[0], tested=tested)
    assert (folder.path / "classes.csv").read_text() == (
        "round,class,samples,recall\n0,0,4,0.75\n0,1,5,0.0\n0,2,0,\n"
    )
    assert (folder.path / "confusion.csv").read_text() == (
        "round,true,predicted,count\n0,0,0,3\n0,0,1,1\n0,1,2,2\n"
    )


def test_what_detectors_said_and_what_it_was_worth(folder: ResultsFolder) -> None:
    verdicts = (Verdict("norm", 1.5, True), Verdict("duplicate", math.inf, False))
    found = [DetectionRow(1, "norm", 1.0, 0.25, None, 0.5)]
    folder.add_round(history(0.9, 0.8)[1], [participant(verdicts=verdicts)], found=found)
    assert (folder.path / "detectors.csv").read_text() == (
        "round,index,detector,score,flagged\n1,7,norm,1.5,true\n1,7,duplicate,inf,false\n"
    )
    assert (folder.path / "detection.csv").read_text() == (
        "round,detector,tpr,fpr,precision,auc\n1,norm,1.0,0.25,,0.5\n"
    )


def test_a_round_in_the_history_is_complete(
    folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = Confusion(np.eye(2, dtype=np.int64), np.ones(2, np.int64))
    order: list[str] = []
    append = folder._append
    monkeypatch.setattr(
        folder,
        "_append",
        lambda record, rows: (order.append(record.file), append(record, rows)),
    )
    folder.add_round(history(0.9)[0], [participant()], tested)
    assert order[-1] == "history.csv"
    assert len(order) == 6


# --- the other files ------------------------------------------------------------------------------


def test_the_spec_can_be_fed_back(folder: ResultsFolder) -> None:
    spec = ExperimentSpec(name="a: b # c", attack=0.3, rule="krum:f=30", threshold=90, lr=1e-7)
    folder.start(ResolvedSpec(spec))
    assert ExperimentSpec.from_yaml((folder.path / "spec.yaml").read_text()) == spec


def test_the_spec_is_one_plain_yaml_document(folder: ResultsFolder) -> None:
    folder.start(ResolvedSpec(ExperimentSpec()))
    values = yaml.safe_load((folder.path / "spec.yaml").read_text())
    assert values == ExperimentSpec().model_dump()


def test_the_model_is_cut_into_its_tensors(folder: ResultsFolder) -> None:
    weights = np.arange(11, dtype=np.float32)
    layout = [("conv.weight", (2, 3)), ("conv.bias", (4,)), ("scale", ())]
    folder.write_model(layout, weights, {"rounds": "10", "data set": "digits"})
    with safe_open(folder.path / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"rounds": "10", "data set": "digits"}
        assert set(file.keys()) == {"conv.weight", "conv.bias", "scale"}
        np.testing.assert_array_equal(file.get_tensor("conv.weight"), [[0, 1, 2], [3, 4, 5]])
        np.testing.assert_array_equal(file.get_tensor("conv.bias"), [6, 7, 8, 9])
        assert file.get_tensor("scale") == 10


def test_equal_models_make_equal_files(folder: ResultsFolder) -> None:
    path = folder.path / "model.safetensors"
    files = set()
    for order in ("abcdefgh", "hgfedcba"):
        metadata = {key: key for key in order}
        folder.write_model([("weight", (2,))], np.zeros(2, np.float32), metadata)
        files.add(path.read_bytes())
    (data,) = files
    assert data.index(b'"a":"a"') < data.index(b'"b":"b"') < data.index(b'"h":"h"')
    assert int.from_bytes(data[:8], "little") % 8 == 0


@pytest.mark.parametrize("size", [5, 7])
def test_a_model_that_does_not_fit_the_layout_is_refused(folder: ResultsFolder, size: int) -> None:
    with pytest.raises(InvalidValue, match=r"asks for \(6,\)"):
        folder.write_model([("weight", (2, 3))], np.zeros(size, np.float32))
    assert not (folder.path / "model.safetensors").exists()


def test_nothing_half_written_is_left(folder: ResultsFolder) -> None:
    folder.start(ResolvedSpec(ExperimentSpec()))
    folder.write_model([("weight", (1,))], np.zeros(1, np.float32))
    folder.add_round(history(0.9)[0])
    folder.write_plots("title", "subtitle")
    names = {"accuracy.png", "history.csv", "model.safetensors"}
    names |= {"participants.csv", "run.json", "spec.yaml"}
    assert {p.name for p in folder.path.iterdir()} == names
    folder.add_round(history(0.9, 0.9)[1], tested=Confusion(np.eye(2, dtype=int), np.ones(2, int)))
    folder.write_plots("title", "subtitle")
    names |= {"classes.csv", "confusion.csv", "recall.png"}
    assert {p.name for p in folder.path.iterdir()} == names


def test_the_pictures_are_of_the_data_and_mark_what_went_wrong(
    folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    for noun in ("accuracy.draw_history", "recall.draw_recall"):

        def draw(rows: object, path: Path, *_: str, **more: Any) -> None:
            told.update(more)
            path.touch()

        monkeypatch.setattr(f"fedsiege.results.plots.{noun}", draw)
    tested = Confusion(np.zeros((2, 2), int), np.array([80, 20]))
    folder.add_round(history(0.9)[0], tested=tested)
    folder.add_round(HistoryRow(1, 0.9, 0.1, 4, 0, 0.1, missing_honest=1), tested=tested)
    folder.add_round(HistoryRow(2, 0.0, math.nan, 5, 0, 0.1), tested=tested)
    folder.write_plots("title", "subtitle")
    assert told == {"class_samples": [80, 20], "incomplete": {1}, "destroyed": {2}, "names": ()}


def test_a_file_that_cannot_be_finished_leaves_the_old_one(
    folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.start(ResolvedSpec(ExperimentSpec(name="old")))

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        folder.start(ResolvedSpec(ExperimentSpec(name="new")))
    assert ExperimentSpec.from_yaml((folder.path / "spec.yaml").read_text()).name == "old"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)"])
def test_a_name_that_a_spreadsheet_would_compute_stays_text(
    folder: ResultsFolder, name: str
) -> None:
    (row,) = history(0.5)
    folder.add_round(row, [participant(identity=name, norm=-0.5)])
    (written,) = read(folder.path / "participants.csv")
    assert written["identity"] == f"'{name}"
    assert written["norm"] == "-0.5", "numbers stay numbers"


class FullDisk:
    """A raw file on a disk that takes a few more bytes, and then none."""

    def __init__(self, file: Any, room: int) -> None:
        self._file = file
        self._room = room

    def write(self, data: memoryview) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._file.write(data[: self._room])
        self._room -= written
        return int(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 1, 20])
def test_a_row_for_which_there_is_no_room_is_not_there_in_part(
    folder: ResultsFolder, room: int
) -> None:
    first, second, third = history(0.5, 0.6, 0.7)
    folder.add_round(first)
    table = folder._tables[HistoryRow]
    file, before = table._file, (folder.path / "history.csv").read_bytes()
    table._file = FullDisk(file, room)  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left") as caught:
        folder.add_round(second)
    assert caught.value.filename == str(folder.path / "history.csv")
    assert (folder.path / "history.csv").read_bytes() == before
    table._file = file  # some space was freed
    folder.add_round(third)
    assert [row["round"] for row in read(folder.path / "history.csv")] == ["0", "2"]


def test_a_file_for_which_there_is_no_room_leaves_nothing_and_is_named(
    folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(OSError, match="No space left") as caught:
        folder.start(ResolvedSpec(ExperimentSpec()))
    assert caught.value.filename == str(folder.path / "spec.yaml")
    assert {one.name for one in folder.path.iterdir()} == {"history.csv", "participants.csv"}
    assert describe_error(caught.value).startswith(
        f"{folder.path}/spec.yaml cannot be written: no space"
    )
