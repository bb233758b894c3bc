"""``run.json`` says what a run was; older folders, which have none, are read all the same."""

import hashlib
import json
from pathlib import Path

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment.knowledge import Knowledge
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import HistoryRow, ResultsFolder, RunInfo, RunRecords, RunState
from fedsiege.results.run_info import Versions, record_clean_twin

NOTES = ("krum assumes f=30", "two\nlines\x85and\u2028more: [")
SPEC = ExperimentSpec.of({"attack": 0.4, "clients": 5, "attack_name": "alie"})


def written(path: Path) -> ResultsFolder:
    with ResultsFolder(path, ["fedsiege", "sim", "--attack=0.4"]) as folder:
        folder.start(
            ResolvedSpec(SPEC, NOTES),
            dataset_reason="MNIST is not there",
            initial_weights="mine.safetensors",
            initial_weights_sha256="abc",
        )
        folder.add_round(HistoryRow(0, 0.9, 0.1, 0, 0, 0.1))
    return folder


def test_what_a_run_was_comes_back_as_it_was_written(tmp_path: Path) -> None:
    info = RunRecords.read(written(tmp_path / "run").path).info
    assert (info.state, info.ended, info.seconds) == (RunState.RUNNING, None, None)
    assert info.command == ("fedsiege", "sim", "--attack=0.4")
    assert info.notes == NOTES
    assert info.dataset_reason == "MNIST is not there"
    assert (info.initial_weights, info.initial_weights_sha256) == ("mine.safetensors", "abc")
    assert info.versions == Versions.here()
    assert info.knowledge is not None
    assert info.knowledge.level == "partial"
    assert info.started is not None
    assert info.started.tzinfo is not None


def test_a_checkpoint_that_ships_is_known_by_its_digest(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"dataset": "digits"})
    with ResultsFolder(tmp_path / "run") as folder:
        folder.start(ResolvedSpec(spec), initial_weights="pretrained")
    shipped = Path(__file__).parents[3] / "fedsiege" / "checkpoints" / "net-digits.safetensors"
    digest = hashlib.sha256(shipped.read_bytes()).hexdigest()
    assert RunInfo.read(folder.path).initial_weights_sha256 == digest


def test_the_end_is_written_over_the_start(tmp_path: Path) -> None:
    folder = written(tmp_path / "run")
    folder.end(RunState.FAILED, "the disk is full", ["one", "two"])
    info = RunInfo.read(folder.path)
    assert (info.state, info.reason, info.notes) == (
        RunState.FAILED,
        "the disk is full",
        ("one", "two"),
    )
    assert info.seconds is not None
    assert info.seconds >= 0
    assert info.command == folder.info.command, "what the start said is kept"
    record_clean_twin(folder.path, tmp_path / "twin")
    assert RunInfo.read(folder.path) == info.model_copy(update={"clean_twin": "../twin"})


def test_a_field_of_a_later_version_does_no_harm_and_a_damaged_file_is_named(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "run").path
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, "of_the_future": 1}))
    assert RunRecords.read(path).info.notes == NOTES
    for damaged, words in (("{", "Invalid JSON"), (json.dumps({"state": "asleep"}), "state ")):
        (path / "run.json").write_text(damaged)
        with pytest.raises(InvalidValue, match=rf"RUN=.*run\.json cannot be read: .*{words}"):
            RunRecords.read(path)


def test_a_folder_of_before_run_json_is_read_from_the_comments_of_its_spec(tmp_path: Path) -> None:
    path = written(tmp_path / "run").path
    (path / "run.json").unlink()
    (path / "spec.yaml").write_text(
        "# FedSiege experiment of 2026-11-20T12:00:00+00:00.\n"
        "# Run it again with: fedsiege sim --spec spec.yaml\n"
        "# fedsiege 0.1.0, python 3.11.7, torch 2.13.0+cpu, numpy 2.4.6, Linux-6, x86\n"
        "# knowledge of the attack: full, the benign updates of the round\n"
        "# data set digits: MNIST is not there\n"
        "# note: krum assumes f=30\n"
        "# note: initial weights: pretrained\n"
        "name: '# note: no comment'\n"
        "attack: 0.4\n"
    )
    run = RunRecords.read(path)
    assert run.info.notes == ("krum assumes f=30", "initial weights: pretrained")
    assert run.info.dataset_reason == "MNIST is not there"
    assert run.knowledge == Knowledge(level="full", meaning="the benign updates of the round")
    line = "fedsiege 0.1.0, python 3.11.7, torch 2.13.0+cpu, numpy 2.4.6, Linux-6, x86"
    assert str(run.info.versions) == line
    assert run.info.state is None
    (path / "spec.yaml").write_text("attack: 0.2\n")
    assert RunRecords.read(path).info == RunInfo()
    assert RunRecords.read(path).knowledge == Knowledge(
        level="none", meaning="the broadcast model only"
    )


def test_the_specification_holds_nothing_that_is_read_but_the_settings(tmp_path: Path) -> None:
    path = written(tmp_path / "run").path
    before = RunRecords.read(path)
    text = (path / "spec.yaml").read_text()
    stripped = [line for line in text.splitlines() if not line.startswith("#")]
    (path / "spec.yaml").write_text("\n".join(stripped))
    after = RunRecords.read(path)
    assert (after.spec, after.info) == (before.spec, before.info)
