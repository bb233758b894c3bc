"""Tests of the conversion of messages to rows of the results."""

from dataclasses import replace

import pytest

from fedsiege.results import Outcome, ParticipantRow, Standing, Verdict
from fedsiege.services.simulator.conversion import (
    confusion,
    history_row,
    participant_row,
)
from fedsiege.v1 import aggregator_pb2 as data_pb


def person(index: int, outcome: Outcome, *, hostile: bool = False) -> ParticipantRow:
    return ParticipantRow(index, f"w/{index}", hostile, 3, 1.0, outcome, False)


def test_a_row_of_the_history():
    entry = data_pb.AccuracyEntry(
        round=3, accuracy=0.5, loss=1.25, updates=80, rejected=2, seconds=0.75
    )
    missing = [person(index, Outcome.MISSING) for index in range(8)]
    row = history_row(entry, missing)
    assert (row.round, row.accuracy, row.loss) == (3, 0.5, 1.25)
    assert (row.updates, row.rejected, row.seconds) == (80, 2, 0.75)
    assert (row.quarantined, row.asr, row.close_reason) == (0, None, None)
    assert (row.expected, row.missing_honest, row.missing_hostile) == (8, 8, 0)
    assert row.hostile_share is None
    assert row.incomplete
    entry.quarantined, entry.close_reason = 4, data_pb.CLOSE_REASON_DEADLINE
    later = history_row(entry, [], 0.0)
    assert later == replace(
        row, quarantined=4, close_reason="deadline", asr=0.0, expected=0, missing_honest=0
    )
    assert not later.incomplete


def test_every_reason_for_closing_a_round_has_a_name():
    for reason in data_pb.CloseReason.values():
        entry = data_pb.AccuracyEntry(round=1, close_reason=reason)
        assert (history_row(entry).close_reason is None) == (
            reason == data_pb.CLOSE_REASON_UNSPECIFIED
        )


def test_round_0_misses_no_update():
    row = history_row(data_pb.AccuracyEntry(), [], 0.5)
    assert (row.expected, row.missing_honest, row.missing_hostile) == (None, None, None)
    assert (row.hostile_share, row.asr) == (None, 0.5)


def test_missing_updates_of_a_round_are_counted_by_side():
    row = history_row(
        data_pb.AccuracyEntry(round=3),
        [
            person(0, Outcome.ACCEPTED),
            person(1, Outcome.EXCLUDED),
            person(2, Outcome.NOT_AGGREGATED, hostile=True),
            person(3, Outcome.QUARANTINED, hostile=True),  # kept from the rule: not in the share
            person(4, Outcome.MISSING),
            person(5, Outcome.MISSING, hostile=True),
            person(6, Outcome.MISSING),
            person(7, Outcome.REJECTED),
            person(8, Outcome.NOT_SCHEDULED),
        ],
    )
    assert (row.expected, row.missing_honest, row.missing_hostile) == (8, 2, 1)
    assert row.hostile_share == 1 / 3
    assert row.asr is None
    only_missing = history_row(data_pb.AccuracyEntry(round=3), [person(0, Outcome.MISSING)])
    assert only_missing.hostile_share is None


def test_the_test_by_class():
    entry = data_pb.AccuracyEntry(confusion=[1, 2, 3, 4], class_samples=[3, 8])
    tested = confusion(entry)
    assert tested.counts.tolist() == [[1, 2], [3, 4]]
    assert tested.recall == [1 / 3, 0.5]


@pytest.mark.parametrize(
    "fields", [{}, {"class_samples": [1, 2]}, {"confusion": [1], "class_samples": [1, 2]}]
)
def test_a_model_that_was_not_tested_has_no_test_by_class(fields):
    assert confusion(data_pb.AccuracyEntry(**fields)) is None


@pytest.mark.parametrize(
    "outcome", [value for value in data_pb.Outcome.values() if value != data_pb.OUTCOME_UNSPECIFIED]
)
def test_every_outcome_of_the_contract_has_a_row(outcome):
    seen = data_pb.Participant(participant_index=4, identity="w/4", outcome=outcome, flagged=True)
    row = participant_row(seen, 9, {4})
    assert (row.index, row.identity, row.round, row.flagged) == (4, "w/4", 9, True)
    assert row.hostile
    assert not participant_row(seen, 9, {3, 5}).hostile
    assert row.outcome is Outcome(data_pb.Outcome.Name(outcome).removeprefix("OUTCOME_").lower())
    assert row.accepted == (outcome == data_pb.OUTCOME_ACCEPTED)


@pytest.mark.parametrize("norm", [None, 0.0, 2.5])
def test_a_norm_of_zero_is_not_no_norm(norm):
    seen = data_pb.Participant(outcome=data_pb.OUTCOME_EXCLUDED, norm=norm)
    assert participant_row(seen, 1, set()).norm == norm


def test_what_the_audit_says_of_a_participant():
    seen = data_pb.Participant(
        outcome=data_pb.OUTCOME_QUARANTINED,
        standing=data_pb.STANDING_PROBATION,
        returns_in_round=7,
        quarantines=2,
        verdicts=[data_pb.Verdict(detector="norm", score=1.5, flagged=True)],
    )
    row = participant_row(seen, 5, set())
    assert (row.standing, row.returns_in_round, row.quarantines) == (Standing.PROBATION, 7, 2)
    assert row.verdicts == (Verdict("norm", 1.5, True),)


def test_without_an_audit_a_participant_has_no_standing():
    row = participant_row(data_pb.Participant(outcome=data_pb.OUTCOME_ACCEPTED), 5, set())
    assert (row.standing, row.verdicts) == (None, ())


@pytest.mark.parametrize("score", [None, 0.0, -2.5])
def test_a_score_of_zero_is_not_no_score(score):
    seen = data_pb.Participant(outcome=data_pb.OUTCOME_EXCLUDED, score=score)
    assert participant_row(seen, 1, set()).score == score
