"""A run as data frames: what each table becomes, and what is said where there is none."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fedsiege
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import HistoryRow, ResultsFolder
from fedsiege.results.files import TABLES
from fedsiege.results.run import Run

#: The data frame of each table.
FRAMES = {
    "history.csv": "history",
    "participants.csv": "participants",
    "detectors.csv": "verdicts",
    "detection.csv": "detection",
    "classes.csv": "classes",
    "confusion.csv": "confusion",
    "intrusions.csv": "intrusions",
    "containers.csv": "containers",
    "faults.csv": "faults",
}


def test_each_table_is_a_data_frame_with_its_columns(tmp_path: Path, write_run) -> None:
    run = fedsiege.load(write_run(tmp_path / "run"))
    assert set(FRAMES) == {record.file for record in TABLES}
    for record in TABLES:
        frame = getattr(run, FRAMES[record.file])
        assert list(frame) == record.header(), record.file
        assert len(frame) == (
            pd.read_csv(run.path / record.file).shape[0] if (run.path / record.file).exists() else 0
        ), record.file
        assert getattr(run, FRAMES[record.file]) is frame, "it is read once"


def test_a_table_that_was_not_written_has_the_types_of_one_that_was(
    tmp_path: Path, write_run
) -> None:
    with_all, without = (write_run(tmp_path / name) for name in ("one", "two"))
    for path in without.glob("*.csv"):
        if path.name != "history.csv":
            path.unlink()
    one, two = Run(with_all), Run(without)
    for name in FRAMES.values():
        if name != "history":
            frame = getattr(two, name)
            assert len(frame) == 0
            assert list(frame.dtypes) == list(getattr(one, name).dtypes), name


def test_figures_are_there_by_name(tmp_path: Path, write_run) -> None:
    run = fedsiege.load(write_run(tmp_path / "run"))
    write_run(tmp_path / "clean", (0.9, 0.95, 0.9, 0.8), attack=0)
    figures = run.summary
    assert figures["accuracy"] == run.history["accuracy"].iloc[-1] == 0.6
    assert (figures["accuracy_before"], figures["accuracy_lowest"]) == (0.9, 0.5)
    assert figures["accuracy_clean"] == 0.8
    assert figures["cost_points"] == pytest.approx(20)
    assert figures["norm_tpr"] == run.detection.query("detector == 'norm'")["tpr"].mean() == 0.5
    together = pd.DataFrame([run.summary, fedsiege.load(tmp_path / "clean").summary])
    assert list(together["accuracy"]) == [0.6, 0.8]


def test_participants_and_rounds_can_be_grouped(tmp_path: Path, write_run) -> None:
    people = fedsiege.load(write_run(tmp_path / "run")).participants
    accepted = people.groupby("hostile")["accepted"].mean()
    assert accepted[True] == pytest.approx(4 / 6)
    assert set(people.loc[people["outcome"] == "quarantined", "index"]) == {0}


def test_a_notebook_shows_a_table_and_a_terminal_a_line(tmp_path: Path, write_run) -> None:
    run = fedsiege.load(write_run(tmp_path / "run", name="<b>bold</b>", rounds=5))
    assert repr(run) == (
        f"<Run {run.path}: krum:f=1 against 40% mpaf, round 3 of 5, accuracy 60.0%>"
    )
    table = run._repr_html_()
    assert "<th>rule</th><td>krum:f=1</td>" in table
    assert "accuracy 60.0%, in round 3 of 5" in table
    clean = fedsiege.load(write_run(tmp_path / "a<b", attack=0))
    assert "a&lt;b" in clean._repr_html_()
    assert "against no attack" in repr(clean)


def test_a_run_is_drawn(tmp_path: Path, write_run) -> None:
    run = fedsiege.load(write_run(tmp_path / "run"))
    figure = run.plot()
    texts = " ".join(one.get_text() for axes in figure.axes for one in axes.texts)
    texts += " ".join(one.get_text() for one in figure.texts)
    assert "krum:f=1" in texts
    assert "knowledge none" in texts
    assert figure._repr_png_().startswith(b"\x89PNG"), "a notebook shows it"
    assert fedsiege.load(write_run(tmp_path / "clean", (0.9,), attack=0)).plot() is not None


def test_the_weights_are_tensors(tmp_path: Path) -> None:
    with ResultsFolder(tmp_path / "run") as folder:
        folder.start(ResolvedSpec(ExperimentSpec()))
        folder.add_round(HistoryRow(0, 0.5, 0.7, 0, 0, 0.1))
        folder.write_model([("a", (2, 1)), ("b", (1,))], np.array([1, 2, 3], np.float32))
    weights = fedsiege.load(tmp_path / "run").weights
    assert {name: one.tolist() for name, one in weights.items()} == {"a": [[1], [2]], "b": [3]}


def test_weights_that_are_not_there_or_damaged_are_named(tmp_path: Path, write_run) -> None:
    path = write_run(tmp_path / "run")
    with pytest.raises(MissingData, match=r"model\.safetensors does not exist: the run has not"):
        _ = fedsiege.load(path).weights
    (path / "model.safetensors").write_bytes(b"no model")
    with pytest.raises(MissingData, match=r"model\.safetensors is damaged"):
        _ = fedsiege.load(path).weights


def test_a_run_is_found_as_the_command_line_finds_it(
    tmp_path: Path, write_run, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("runs/20261130-one"))
    assert fedsiege.load("20261130-one").path == Path("runs/20261130-one")
    with pytest.raises(InvalidValue, match=r"RUN='one' .*did you mean 20261130-one\?"):
        fedsiege.load("one")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidValue, match=r"it has no spec\.yaml and no history\.csv"):
        fedsiege.load(tmp_path / "empty")


def test_a_damaged_table_is_named_when_it_is_asked_for(tmp_path: Path, write_run) -> None:
    path = write_run(tmp_path / "run")
    with (path / "participants.csv").open("a") as file:
        file.write("1,2\n")
    run = fedsiege.load(path)
    assert len(run.history) == 4
    with pytest.raises(InvalidValue, match=r"participants\.csv, line 17: 2 cells"):
        _ = run.participants
    shutil.copy(path / "spec.yaml", path / "history.csv")
    with pytest.raises(InvalidValue, match=r"history\.csv, line 1"):
        fedsiege.load(path)
