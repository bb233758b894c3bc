"""Tests of an experiment's notes."""

import logging
from pathlib import Path
from unittest.mock import Mock

import pytest

from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.simulator.experiment import MOST_NOTES, Experiment
from fedsiege.services.simulator.workers import Workers


def test_notes_above_the_limit_end_in_one_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fedsiege.services.simulator.experiment")
    resolved = resolve(ExperimentSpec.of({"dataset": "digits"}))
    experiment = Experiment("e1", resolved, "", Workers(), Mock(), Path(), Mock())
    for number in range(2 * MOST_NOTES):
        experiment.note(f"complaint {number}")
    *kept, last = experiment.describe().notes
    assert kept == [f"complaint {number}" for number in range(MOST_NOTES)]
    assert last == f"more than {MOST_NOTES} notes: what follows is in the simulator's log only"
    assert len(caplog.records) == 2 * MOST_NOTES, "the log has them all"
