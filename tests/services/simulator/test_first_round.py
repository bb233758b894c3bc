"""Tests of the note on honest updates that hardly move the model."""

import pytest

from fedsiege.results import Outcome, ParticipantRow
from fedsiege.services.simulator.first_round import LEAST, hardly_moved


def row(norm: float | None, *, hostile: bool = False) -> ParticipantRow:
    return ParticipantRow(0, "a/0", hostile, 1, norm, Outcome.ACCEPTED, flagged=False)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_ratio_of_both_norms_decides_at_any_scale(scale: float) -> None:
    assert "hardly moves the model" in hardly_moved([row(0.9 * LEAST * scale)], scale)
    assert hardly_moved([row(1.1 * LEAST * scale)], scale) == ""


def test_hostile_updates_do_not_count_however_long() -> None:
    rows = [row(1e-5), row(1e-5), row(None), *[row(1e6, hostile=True)] * 9]
    assert "is 0.001% as long" in hardly_moved(rows, 1.0)


def test_nothing_is_said_without_honest_updates() -> None:
    assert hardly_moved([row(None), row(1e-9, hostile=True)], 1.0) == ""
