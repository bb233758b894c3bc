"""What the detectors found in the cells of a grid."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsiege.cli import grid
from fedsiege.cli.screen import Screen
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.grids.cells import CellFigures, write_detection
from fedsiege.grids.grid import Cell, Grid
from fedsiege.grids.report import LEGEND, audited
from fedsiege.metrics import Detection, Discovery
from fedsiege.results.report import DetectorReport

AUDITED = """
about: detectors against an attack
base: {clients: 5, rounds: 2, dataset: digits, samples: 2, epochs: 1, attack: 0.2, scale: 1000}
vary:
  attack:
    none: {attack: 0}
    mpaf: {attack_name: mpaf}
  audit: [none, norm, norm/duplicate]
"""


def figures_of(*detectors: DetectorReport) -> CellFigures:
    return CellFigures(("mpaf", "norm"), 0.5, 0.5, 0.5, 1.0, 4, 1, {}, detectors=detectors)


def report(name: str, tpr: float | None, auc: float | None = None) -> DetectorReport:
    return DetectorReport(name, Detection(tpr, 0.0125, None, auc), Discovery(None, 0.75))


def test_the_audit_in_short() -> None:
    rule, norm, copies = report("rule", 0.1), report("norm", 1.0, 0.994), report("duplicate", 0, 0)
    audit = report("audit", 0.996)
    assert audited(figures_of(rule, audit, norm)) == "100 / 1.2 (0.99)"
    assert audited(figures_of(rule, audit, norm, copies)) == "100 / 1.2"
    taken = report("selection", 0.1)
    assert audited(figures_of(taken, audit, norm)) == "100 / 1.2 (0.99)"
    assert audited(figures_of(rule, report("audit", None), norm)) == ("- / 1.2 (0.99)")
    assert audited(figures_of(rule)) == ""


def test_what_is_not_defined_is_left_blank(tmp_path: Path) -> None:
    path = tmp_path / "detection.csv"
    write_detection(Grid.from_yaml(AUDITED), [figures_of(report("norm", None))], path)
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert row == {
        "attack": "mpaf",
        "audit": "norm",
        "detector": "norm",
        "tpr": "",
        "fpr": "0.0125",
        "precision": "",
        "auc": "",
        "rounds": "",
        "never": "0.7500",
    }


@pytest.mark.parametrize(
    ("rule", "name", "accused"), [("krum:f=1", "selection", False), ("auror", "rule", True)]
)
def test_a_cell_has_detection_rates_where_its_rule_accuses(
    rule: str, name: str, accused: bool, tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    """That Krum does not take an update is in the table of detections, under its own name."""
    spec = ExperimentSpec.of({"rule": rule})
    cell = CellFigures.read(Cell((rule,), spec), write_run(tmp_path / "run", rule=rule))
    assert [one.detector for one in cell.detectors] == [name, "audit", "norm"]
    left_out = cell.detectors[0].worth
    assert (left_out.tpr, left_out.fpr) == (pytest.approx(1 / 6), pytest.approx(1 / 9))
    assert (cell.tpr, cell.fpr) == ((left_out.tpr, left_out.fpr) if accused else (None, None))


@pytest.mark.timeout(240)  # it runs four experiments, each in processes of its own
@pytest.mark.slow
def test_a_grid_of_audits_tells_what_they_found(tmp_path: Path) -> None:
    out = grid.run(AUDITED, "audits", tmp_path / "grid", [], Screen())
    rows = list(csv.DictReader((out / "detection.csv").read_text().splitlines()))
    found = {(row["attack"], row["audit"], row["detector"]): row for row in rows}
    assert {key[2] for key in found if key[1] == "none"} == {"selection"}
    assert {key[2] for key in found if key[1] == "norm/duplicate"} == {
        *("selection", "audit", "norm", "duplicate"),
    }
    # One fake among six that sends what is a thousand times as long as anything else.
    assert float(found["mpaf", "norm", "norm"]["tpr"]) == 1
    assert float(found["mpaf", "norm", "norm"]["never"]) == 0
    assert found["none", "norm", "norm"]["tpr"] == ""
    table = (out / "table.md").read_text()
    assert "| attack | norm | norm/duplicate |" in table  # no column for what has no audit
    assert "| mpaf | 100 / 0.0 (1.00) | 100 / 0.0 |" in table
    assert LEGEND in table
