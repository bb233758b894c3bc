"""What follows from a run, by hand; and the run that it is compared with."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment.knowledge import Knowledge
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.metrics import Detection, Discovery
from fedsiege.results import RunRecords
from fedsiege.results.cost import clean_twin
from fedsiege.results.report import DetectorReport, RunReport
from fedsiege.results.run_info import record_clean_twin

WriteRun = Callable[..., Path]


def test_the_figures_of_a_run(tmp_path: Path, write_run: WriteRun) -> None:
    report = RunReport.of(write_run(tmp_path / "run"), 0.8)
    assert (report.change.before, report.change.after, report.change.lowest_round) == (0.9, 0.6, 2)
    assert report.chance == 0.5  # of two classes
    assert report.cost is None, "there is no clean twin"
    # rounds 1 to 3 alone: mean 19/30, deviations 5/30, -4/30, -1/30
    assert report.instability == pytest.approx(math.sqrt(42 / 3) / 30)
    assert report.rounds_to_target == 0
    assert report.last_test is not None
    assert (report.last_test[0], report.last_test[1].recall) == (3, [5 / 8, 0.0])
    selection, audit, norm = report.detectors
    # selection: TPR 0, 1/2, 0 over the rounds, precision in rounds 2 and 3 alone
    found = Discovery(None, 0.5)
    means = Detection(pytest.approx(1 / 6), pytest.approx(1 / 9), 0.5, 1.0)
    assert selection == DetectorReport("selection", means, found)
    means = Detection(pytest.approx(1 / 6), 0.0, 1.0, None)
    assert audit == DetectorReport("audit", means, found)
    assert norm == DetectorReport("norm", Detection(0.5, 0.0, 1.0, 0.75), found)


def test_the_impact_is_that_of_the_rounds_both_have(tmp_path: Path, write_run: WriteRun) -> None:
    clean = write_run(tmp_path / "clean", (0.9, 0.95, 0.96), attack=0, attack_name="random")
    report = RunReport.of(write_run(tmp_path / "run"), 0.8)
    assert report.clean is not None
    assert report.clean.path == clean
    assert report.impact == pytest.approx([0.0, 0.15, 0.46])
    assert report.differences == []


def test_the_base_rate_is_that_of_the_same_target(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run")
    other = write_run(tmp_path / "other", attack=0, attack_name="random")
    assert RunReport.of(run, 0.8, other).base_rate is None
    assert RunReport.of(
        run, 0.8, write_run(tmp_path / "clean", attack=0)
    ).base_rate == pytest.approx(0.3)
    assert RunReport.of(run, 0.8).to_json()["base_rate"] == pytest.approx(0.3)
    assert RunReport.of(other, 0.8).base_rate is None


def test_an_unattacked_run_is_compared_with_nothing(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "clean", attack=0)
    report = RunReport.of(write_run(tmp_path / "other", attack=0), 0.8)
    assert report.clean is None
    assert report.impact == []


def test_of_several_twins_the_longest_counts(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "a", (0.9, 0.8), attack=0)
    longest = write_run(tmp_path / "b", (0.9, 0.8, 0.7), attack=0)
    write_run(tmp_path / "c", (0.9,), attack=0)
    twin = clean_twin(RunRecords.read(write_run(tmp_path / "run")))
    assert twin is not None
    assert twin.path == longest


def test_an_attacked_run_of_before_run_json_is_no_twin(tmp_path: Path, write_run: WriteRun) -> None:
    other = write_run(tmp_path / "other")
    (other / "run.json").unlink()
    path = write_run(tmp_path / "run")
    (path / "run.json").unlink()
    assert clean_twin(RunRecords.read(path)) is None


def test_a_recorded_twin_is_found_wherever_it_is(tmp_path: Path, write_run: WriteRun) -> None:
    path = write_run(tmp_path / "run")
    twin = write_run(tmp_path / "elsewhere" / "twin", attack=0)
    assert clean_twin(RunRecords.read(path)) is None
    record_clean_twin(path, twin)
    run = RunRecords.read(path)
    assert run.info.clean_twin == "../elsewhere/twin"
    found = clean_twin(run)
    assert found is not None
    assert found.path == twin
    longer = write_run(tmp_path / "longer", (0.9, 0.8, 0.7, 0.6, 0.5), attack=0)
    found = clean_twin(run)
    assert found is not None
    assert found.path == longer, "of several, the one with most rounds"


@pytest.mark.parametrize("settings", [{"seed": 1}, {"rule": "median"}, {"attack": 0.1}])
def test_a_run_that_differs_in_more_than_the_attack_is_no_twin(
    tmp_path: Path, write_run: WriteRun, settings: dict[str, object]
) -> None:
    write_run(tmp_path / "other", **{"attack": 0, **settings})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "spec.yaml").write_text("attack: 0\nno such setting: 1\n")
    (tmp_path / "broken" / "history.csv").write_text("")
    (tmp_path / "a file").write_text("")
    assert clean_twin(RunRecords.read(write_run(tmp_path / "run"))) is None


def test_a_named_clean_run_may_differ_and_it_is_said(tmp_path: Path, write_run: WriteRun) -> None:
    clean = write_run(tmp_path / "clean", attack=0, seed=1, rule="median")
    report = RunReport.of(write_run(tmp_path / "run"), 0.8, clean)
    assert report.differences == ["rule", "seed"]
    assert report.impact == [0, 0, 0, 0]


def test_a_clean_run_is_not_attacked(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run")
    with pytest.raises(InvalidValue, match=r"^CLEAN=.*its ATTACK is 0\.4"):
        RunReport.of(run, 0.8, run)


def test_a_target_out_of_range_is_refused(tmp_path: Path, write_run: WriteRun) -> None:
    with pytest.raises(InvalidValue, match="target"):
        RunReport.of(write_run(tmp_path / "run"), 1.5)


def test_json_holds_it_all_and_nothing_that_json_has_no_number_for(
    tmp_path: Path, write_run: WriteRun
) -> None:
    write_run(tmp_path / "clean", (0.9, 0.9), attack=0)
    path = write_run(tmp_path / "run")
    history = (path / "history.csv").read_text()
    (path / "history.csv").write_text(history.replace(",0.5,0.5,", ",0.5,inf,"))
    spelled = json.loads(json.dumps(RunReport.of(path, 0.8).to_json(), allow_nan=False))
    assert spelled["spec"]["rule"] == "krum:f=1"
    assert spelled["knowledge"] == "none"
    assert spelled["impact"] == pytest.approx(0.1)
    assert spelled["confusion"] == [[5, 3], [1, 0]]
    assert [row["loss"] for row in spelled["rounds"]][2] is None
    assert [row["impact"] for row in spelled["rounds"]] == [0, pytest.approx(0.1), None, None]
    assert spelled["rounds"][3]["recall"] == [0.625, 0]
    assert spelled["rounds"][3]["detection"]["audit"]["precision"] == 1
    assert spelled["rounds"][0]["detection"] == {}
    norm = spelled["detectors"][2]
    assert (norm["detector"], norm["never_detected"]) == ("norm", 0.5)
    assert norm["rounds_to_detection"] is None


def test_a_run_without_any_test_by_class_or_detector(tmp_path: Path, write_run: WriteRun) -> None:
    path = write_run(tmp_path / "run")
    for name in ("classes.csv", "confusion.csv", "detection.csv", "detectors.csv"):
        (path / name).unlink()
    report = RunReport.of(path, 0.8)
    assert (report.last_test, report.detectors) == (None, [])
    assert report.to_json()["confusion"] is None


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({"attack": 0}, None),
        ({"attack_name": "mpaf"}, "none"),
        ({"attack_name": "from-the-future"}, "unknown"),
    ],
)
def test_the_level_of_knowledge(settings: dict[str, object], level: str | None) -> None:
    known = Knowledge.of(ExperimentSpec.of(settings))
    assert (known and known.level) == level
