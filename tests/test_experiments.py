"""The committed grids can be run as they stand, and committed results are those of the grid."""

from pathlib import Path

import pytest

from fedsiege.experiment.resolve import resolve
from fedsiege.grids.grid import Grid
from fedsiege.training import choice

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow) if path.stem == "sentinel" else path
        for path in sorted(EXPERIMENTS.glob("*.yaml"))
    ],
    ids=lambda path: path.stem,
)
def test_every_cell_can_be_settled(path, monkeypatch):
    # It depends on the model alone, and takes most of the time.
    monkeypatch.setattr(choice, "resolve_auto", lambda model: ("cohort", ""))
    grid = Grid.from_yaml(path.read_text())
    assert grid.about
    for cell in grid:
        resolve(cell.spec)


@pytest.mark.parametrize(
    "folder", sorted(EXPERIMENTS.glob("results/*/grid.yaml")), ids=lambda path: path.parent.name
)
def test_committed_results_are_those_of_the_committed_grid(folder):
    path = EXPERIMENTS / f"{folder.parent.name}.yaml"
    assert list(Grid.from_yaml(folder.read_text())) == list(Grid.from_yaml(path.read_text()))
