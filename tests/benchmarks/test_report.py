"""The table and the files show the figures, the targets and whether they are met."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.contest import Benchmark, Claim, Contender, Outcome

MACHINE = {"processor": "abacus", "cores": "2"}


def outcome(name: str = "rounds", seconds: float = 0.05) -> Outcome:
    def claim(text: str, **bounds: float) -> Claim:
        return Claim(text, lambda medians: medians["ours", "round"], "s", **bounds)

    benchmark = Benchmark(
        name=name,
        title=f"The {name}",
        units={"round": "s"},
        contenders=[Contender("peer", lambda e: {}), Contender("ours", lambda e: {})],
        claims=[
            claim("fast", at_most=0.1),
            claim("faster", at_most=0.01),
            Claim("than the peer", lambda medians: medians["peer", "round"], "s", at_least=1),
        ],
    )
    return Outcome(benchmark, {"ours": [{"round": [seconds, seconds]}]}, {"peer": "not installed"})


def test_lines_hold_figures_targets_and_verdicts() -> None:
    assert report.lines(report.record(outcome(), MACHINE)) == [
        report.Line("ours: round", "0.0500 s", "0.0500 .. 0.0500", "2"),
        report.Line("fast", "0.0500 s", "0.0500 .. 0.0500", "1", "≤ 0.1 s", "met"),
        report.Line("faster", "0.0500 s", "0.0500 .. 0.0500", "1", "≤ 0.01 s", "NOT MET"),
        report.Line("than the peer", "-", "", "0", "≥ 1 s", "not measured"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (3.0, "3.00"), (123.4, "123"), (5417.9, "5,418"), (0.0, "0.00")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert report.number(value) == text


def test_the_screen_shows_verdicts_and_failures() -> None:
    console = Console(record=True, width=120)

    report.show(console, report.record(outcome(), MACHINE))

    text = console.export_text()
    for expected in ("The rounds", "NOT MET", "≤ 0.01 s", "peer failed: not installed"):
        assert expected in text


def test_files_of_other_benchmarks_stay_in_the_table(tmp_path: Path) -> None:
    report.write(tmp_path, [report.record(outcome("pull"), MACHINE)])

    report.write(tmp_path, [report.record(outcome("rounds", seconds=0.07), MACHINE)])

    written = json.loads((tmp_path / "rounds.json").read_text())
    assert written["machine"] == MACHINE
    assert written["measures"] == [
        {"contender": "ours", "measure": "round", "unit": "s", "samples": [0.07, 0.07]}
    ]
    table = (tmp_path / "table.md").read_text()
    assert "## The pull" in table
    assert "## The rounds" in table
    assert "| faster | 0.0700 s | 0.0700 .. 0.0700 | 1 | ≤ 0.01 s | **NOT MET** |" in table
    assert "processor abacus, cores 2" in table


def test_a_record_survives_json() -> None:
    record = report.record(outcome(), MACHINE)

    assert json.loads(json.dumps(record)) == record
