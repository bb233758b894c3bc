"""What a run wrote comes back as it was, also of one that was killed or is of an older version."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.metrics import Discovery
from fedsiege.results import DetectionRow, HistoryRow, ResultsFolder, RunRecords
from fedsiege.results.run_records import is_run


def test_a_run_comes_back_as_it_was_written(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    run = RunRecords.read(write_run(tmp_path / "run"))
    assert run.spec.rule == "krum:f=1"
    first, last = run.history[0], run.history[3]
    assert first == HistoryRow(0, 0.9, 1 - 0.9, 5, 0, 0.1, 0, asr=0.0).after([])
    written = HistoryRow(3, 0.6, 1 - 0.6, 5, 0, 0.1, 1, asr=0.1 * 3)
    assert last == written.after(run.history[:3])
    assert last.instability == pytest.approx(math.sqrt(42 / 3) / 30)
    assert list(run.tests) == [0, 1, 2, 3]
    assert run.tests[2].counts.tolist() == [[4, 4], [1, 0]]
    assert run.tests[2].samples.tolist() == [8, 2]
    assert run.tests[2].recall == [0.5, 0.0]
    in_round_3 = [one for one in run.detections if one.round == 3]
    assert in_round_3 == [
        # of the four that the rule was given, it left out the wrong one, with the lowest score
        DetectionRow(3, "selection", 0.0, 1 / 3, 0.0, 1.0),
        DetectionRow(3, "audit", 0.5, 0.0, 1.0, None),
        DetectionRow(3, "norm", 0.5, 0.0, 1.0, 0.75),
    ]
    # participant 1 is never found, so half of them are not found sooner than ever
    assert run.discoveries == dict.fromkeys(("selection", "audit", "norm"), Discovery(None, 0.5))


def test_rounds_to_detection_are_those_in_which_one_took_part(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    """Participant 0 comes in round 2, where the rule finds it at once."""
    table = write_run(tmp_path / "run") / "participants.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["index"] == "0" and row["round"] == "1":
            row["outcome"] = "not_scheduled"
        row["hostile"] = "true" if row["index"] == "0" else "false"  # 1 is never found
    with table.open("w", newline="") as file:
        written = csv.DictWriter(file, rows[0])
        written.writeheader()
        written.writerows(rows)
    assert RunRecords.read(table.parent).discoveries["selection"] == Discovery(1.0, 0.0)


@pytest.mark.parametrize("before", ["rule", "selection"])
def test_runs_in_which_every_rule_was_said_to_accuse_are_read_as_they_are(
    tmp_path: Path, write_run: Callable[..., Path], before: str
) -> None:
    table = write_run(tmp_path / "run") / "detection.csv"
    table.write_text(table.read_text().replace("selection", before))
    run = RunRecords.read(table.parent)
    assert [one.detector for one in run.detections if one.round == 2] == [before, "audit", "norm"]
    assert run.discoveries == dict.fromkeys((before, "audit", "norm"), Discovery(None, 0.5))


def test_without_hostile_participants_nobody_can_be_found(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    run = RunRecords.read(write_run(tmp_path / "run", attack=0))
    assert run.discoveries == {}
    assert {one.worth.tpr for one in run.detections} == {None}


def test_a_destroyed_model_comes_back(tmp_path: Path) -> None:
    with ResultsFolder(tmp_path / "run") as folder:
        (folder.path / "spec.yaml").write_text(ExperimentSpec().to_yaml())
        for number, loss in enumerate((math.inf, math.nan)):
            folder.add_round(HistoryRow(number, 0.1, loss, 0, 0, 0.0))
    first, second = RunRecords.read(folder.path).history
    assert first.loss == math.inf
    assert math.isnan(second.loss)
    assert first.asr is None


def test_a_run_of_an_older_version_lacks_only_what_it_did_not_write(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("attack: 0.2\n")
    (tmp_path / "history.csv").write_text(
        "round,accuracy,loss,updates,rejected,seconds\n"
        "0,0.9,0.2,0,0,0.1\n1,0.5,0.2,4,0,0.1\n2,0.7,0.2,4,0,0.1\n"
    )
    run = RunRecords.read(tmp_path)
    assert run.history[0] == HistoryRow(0, 0.9, 0.2, 0, 0, 0.1).after([])
    assert [row.asr for row in run.history] == [None] * 3
    assert run.history[2].instability == pytest.approx(0.1), "what follows from the others"
    assert (run.tests, run.detections, run.discoveries) == ({}, (), {})


#: The columns that even the oldest ``history.csv`` has.
COLUMNS = "round,accuracy,loss,updates,rejected,seconds\n"


@pytest.mark.parametrize(
    ("spec", "history", "words"),
    [
        (None, "round\n", "spec.yaml cannot be read"),
        ("attack: 2\n", "round\n", "ATTACK=2"),
        ("attack: 0\n", COLUMNS, "it has none yet"),
        (
            "attack: 0\n",
            f"{COLUMNS}zero,1,1,1,1,1\n",
            "a folder of results, but history.csv, line 2: .*'zero'",
        ),
        ("attack: 0\n", "round,accuracy\n", "line 1: the header has no column 'loss'"),
        (
            "attack: 0\n",
            "step,accuracy\n0,1\n",
            "a folder of results, but history.csv, line 1: the header has no column 'round'",
        ),
    ],
)
def test_what_is_no_run_is_refused(
    tmp_path: Path, spec: str | None, history: str, words: str
) -> None:
    if spec is not None:
        (tmp_path / "spec.yaml").write_text(spec)
    (tmp_path / "history.csv").write_text(history)
    with pytest.raises(InvalidValue, match=words):
        RunRecords.read(tmp_path)
    assert is_run(tmp_path) == (spec is not None)


WIDTH = len(HistoryRow.header())
#: What is done to a table of results, its lines numbered from 1, and what is said of it.
DAMAGE = {
    "a cell is no number": (3, lambda line: line.replace("0.8", "much", 1), "'much'"),
    "a row is cut": (4, lambda line: line[:12], "'2,0.5,0.5,5,' is cut"),
    "a row in the middle is cut": (3, lambda line: line[:12] + "\n", rf"\d+ cells, .* {WIDTH}"),
    "a row is too long": (
        3,
        lambda line: "1," + line,
        f"{WIDTH + 1} cells, .* {WIDTH}",
    ),
    "a round is missing": (3, lambda line: "", "round 2, where round 1 is expected"),
    "bytes that are no text": (3, lambda line: "\udcff" + line, "is not UTF-8"),
    "a reason that there is none": (
        3,
        lambda line: line.replace(",,,,,,", ",,tired,,,,", 1),
        "'tired' is not a valid CloseReason",
    ),
}


@pytest.mark.parametrize(("place", "damage", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_cut_or_foreign_history_is_named_with_its_line(
    tmp_path: Path,
    write_run: Callable[..., Path],
    place: int,
    damage: Callable[[str], str],
    words: str,
) -> None:
    history = write_run(tmp_path / "run") / "history.csv"
    lines = history.read_text().splitlines(keepends=True)
    lines[place - 1] = damage(lines[place - 1])
    if "is cut" in words:
        del lines[place:]
    history.write_text("".join(lines), errors="surrogateescape")
    with pytest.raises(InvalidValue, match=rf"history\.csv, line {place}: .*{words}") as caught:
        RunRecords.read(tmp_path / "run")
    assert caught.value.name == "RUN"


@pytest.mark.parametrize(
    "name", ["participants.csv", "detectors.csv", "classes.csv", "confusion.csv", "detection.csv"]
)
def test_every_other_table_is_named_likewise(
    tmp_path: Path, write_run: Callable[..., Path], name: str
) -> None:
    path = write_run(tmp_path / "run") / name
    text = path.read_text()
    last = text.count("\n")
    path.write_text(text[:-3])
    with pytest.raises(InvalidValue, match=rf"results, but {name}, line {last}: .*is cut"):
        RunRecords.read(tmp_path / "run")
    header, rest = text.split("\n", 1)
    path.write_text(f"{header}x\n{rest}".replace("round", "step", 1))
    with pytest.raises(InvalidValue, match=rf"results, but {name}, line 1: the header has no col"):
        RunRecords.read(tmp_path / "run")


def test_what_a_foreign_table_holds_is_shown_as_text(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    history = write_run(tmp_path / "run") / "history.csv"
    history.write_text(history.read_text().replace("0.9", "\x1b[2J" + "9" * 5_000, 1))
    with pytest.raises(InvalidValue) as caught:
        RunRecords.read(tmp_path / "run")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_a_cut_specification_is_named(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    spec = write_run(tmp_path / "run") / "spec.yaml"
    spec.write_text("attack: 0.2\nname: [cut")
    with pytest.raises(InvalidValue, match=r"RUN=.*spec\.yaml cannot be read: SPEC=.*not YAML"):
        RunRecords.read(tmp_path / "run")
