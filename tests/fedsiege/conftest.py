"""The results of a run that is small enough to check by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import (
    Confusion,
    HistoryRow,
    Outcome,
    ParticipantRow,
    ResultsFolder,
    Standing,
    Verdict,
    detections,
)

WriteRun = Callable[..., Path]


def _write(
    path: Path, accuracies: Sequence[float] = (0.9, 0.8, 0.5, 0.6), **settings: object
) -> Path:
    """Write a run of five participants, 0 and 1 of them hostile; two classes, one of them rare.

    The rule gives 0 no weight from round 2 on, and 4, who is benign, in round 3; detector "norm"
    flags 0 in every round, and from round 3 on the audit keeps it out. Nobody ever flags 1.
    """
    asked = {"attack": 0.4, "clients": 5, "rounds": 3, "audit": "norm", "rule": "krum:f=1"}
    spec = ExperimentSpec.of({**asked, **settings})
    with ResultsFolder(path) as folder:
        folder.start(ResolvedSpec(spec))
        for number, accuracy in enumerate(accuracies):
            people = [_person(i, number, bool(spec.attack)) for i in range(5)] if number else []
            right = round(8 * accuracy)
            tested = Confusion(np.array([[right, 8 - right], [1, 0]]), np.array([8, 2]))
            row = HistoryRow(
                number, accuracy, 1 - accuracy, 5, 0, 0.1, number // 3, asr=0.1 * number
            )
            folder.add_round(row, people, tested, detections(people, spec.rule))
    return path


def _person(index: int, number: int, attacked: bool) -> ParticipantRow:
    caught = index == 0 and attacked
    outcome = Outcome.ACCEPTED
    if (caught and number == 2) or (index == 4 and number == 3):
        outcome = Outcome.EXCLUDED
    elif caught and number > 2:
        outcome = Outcome.QUARANTINED
    return ParticipantRow(
        index=index,
        identity=f"w/{index}",
        hostile=index < 2 and attacked,
        round=number,
        norm=1.0,
        outcome=outcome,
        flagged=caught,
        score=float(5 - index),
        standing=Standing.QUARANTINED if outcome is Outcome.QUARANTINED else Standing.GOOD,
        verdicts=(Verdict("norm", 2.0 if caught else 0.1, caught),),
    )


@pytest.fixture
def write_run() -> WriteRun:
    """Write the results of a run into a folder; see ``_write``."""
    return _write
