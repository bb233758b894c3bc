"""What follows a run: JSON for programs, the screen, or nothing."""

import io
import json
import math

import pytest

from fedsiege.cli.observer import JsonObserver, Observer, ScreenObserver
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import HistoryRow, RunState


def test_a_program_reads_one_object_a_line(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = io.StringIO()
    observer = JsonObserver(written)
    observer.folder(tmp_path.relative_to(tmp_path) / "run")
    observer.resolved(ResolvedSpec(ExperimentSpec(rule="krum:f=1"), ("a note",)), "the only one")
    observer.say("an address\nof two lines")
    with observer.waiting("containers") as waiting, observer.rounds(2) as show:
        waiting("containers 1 of 2")
        show(HistoryRow(1, 0.5, math.nan, 5, 0, 0.1, missing_honest=2))
        observer.note("late")
    observer.ended(RunState.FAILED, "no more workers")
    events = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [one["event"] for one in events] == ["folder", "spec", "text", "round", "note", "end"]
    folder, spec, _, row, _, end = events
    assert folder["path"] == str(tmp_path / "run"), "a reader may be in another folder"
    assert spec["spec"]["rule"] == "krum:f=1"
    assert spec["notes"] == ["a note"]
    assert row["loss"] is None, "JSON has no nan"
    assert (row["destroyed"], row["incomplete"]) == (True, True)
    assert (end["state"], end["problem"]) == ("failed", "no more workers")


def test_an_error_can_be_raised_again_by_the_program_that_reads_it() -> None:
    written = io.StringIO()
    JsonObserver(written).refused(InvalidValue("RULE", "nope", "there is: krum"))
    JsonObserver(written).refused(MissingData("no such file"))
    value, other = (json.loads(line) for line in written.getvalue().splitlines())
    assert value == {
        "event": "error",
        "kind": "InvalidValue",
        "text": "RULE='nope' is not possible: there is: krum",
        "name": "RULE",
        "value": "nope",
        "allowed": "there is: krum",
    }
    assert other == {"event": "error", "kind": "MissingData", "text": "no such file"}


def test_the_option_names_an_observer() -> None:
    for name, kind in {"screen": ScreenObserver, "none": Observer}.items():
        assert type(Observer.of(name)) is kind
    with pytest.raises(InvalidValue, match=r"PROGRESS='loud' .* one of screen, json, none"):
        Observer.of("loud")


def test_without_a_screen_nothing_is_printed(capsys) -> None:
    silent = Observer.of("none")
    silent.say("an address")
    with silent.rounds(1) as show:
        show(HistoryRow(0, 0.5, 0.7, 5, 0, 0.1))
    silent.ended(RunState.FAILED, "no more workers")
    assert capsys.readouterr().out == ""


def test_the_end_with_the_standard_input_needs_a_pipe(typed, monkeypatch, tmp_path) -> None:
    with (tmp_path / "no-pipe").open("w+") as file:
        monkeypatch.setattr("sys.stdin", file)
        run = typed("sim", "--end-with-stdin", "--dataset=digits", "--progress=none")
    assert run.returncode == 2
    assert "END_WITH_STDIN=True is not possible: only where the standard input is a pipe" in (
        run.stderr
    )
    assert not (tmp_path / "runs").exists()
