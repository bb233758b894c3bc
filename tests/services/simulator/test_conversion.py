"""Between the messages of the contract and what the simulator works with."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import Outcome, ParticipantRow, Standing, Verdict
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb
from services.simulator.conversion import (
    confusion,
    from_message,
    history_row,
    participant_row,
    round_figures,
    to_message,
)

quick = settings(max_examples=50, deadline=None, derandomize=True)

counts = st.integers(1, 1_000_000)
above_zero = st.floats(1e-300, 1e300)
specs = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(st.characters(categories=["L", "N"]), max_size=100),
        "attack": st.floats(0, 1),
        "attack_name": st.text(max_size=20),
        "scale": above_zero,
        "clients": st.just(0) | st.integers(100, 1_000_000),
        "min_clients": counts,
        "samples": st.integers(0, 1_000_000),
        "rounds": counts,
        "threshold": st.integers(1, 100),
        "rule": st.text(max_size=20),
        "model": st.text(max_size=20),
        "lr": above_zero,
        "momentum": st.floats(0, 1, exclude_max=True),
        "epochs": counts,
        "batch": counts,
        "dataset": st.text(max_size=20),
        "partition": st.text(max_size=20),
        "init": st.sampled_from(["pretrained", "random"]),
        "seed": st.integers(0, 2**64 - 1),
        "deadline": st.floats(1e-9, 86_400),
        "device": st.sampled_from(["cpu", "cuda"]),
        "trainer": st.sampled_from(["auto", "cohort", "loop"]),
    },
)


@quick
@given(specs)
def test_a_specification_survives_the_wire_bit_for_bit(settings):
    spec = ExperimentSpec.of(settings)
    message = pb.ExperimentSpec.FromString(to_message(spec).SerializeToString())
    assert from_message(message) == spec


def test_what_is_not_set_takes_its_default():
    assert from_message(pb.ExperimentSpec()) == ExperimentSpec()
    # Set to what protobuf calls the default of the type is set all the same.
    spec = from_message(pb.ExperimentSpec(attack=0, samples=0, seed=0))
    assert (spec.attack, spec.samples, spec.seed) == (0.0, 0, 0)
    assert from_message(pb.ExperimentSpec(samples=0)).samples != ExperimentSpec().samples


def test_adam_survives_the_wire_without_a_momentum():
    spec = from_message(pb.ExperimentSpec(optimizer="adam"))
    assert (spec.optimizer, spec.momentum) == ("adam", 0.0)
    assert from_message(to_message(spec)) == spec


def test_message_and_specification_have_the_same_fields():
    fields = {field.name for field in pb.ExperimentSpec.DESCRIPTOR.fields}
    assert fields == set(ExperimentSpec.model_fields)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"attack": 1.5}, "ATTACK"),
        ({"attack": float("nan")}, "ATTACK"),
        ({"clients": 1_000_001}, "CLIENTS"),
        ({"min_clients": 0}, "MIN_CLIENTS"),
        ({"rounds": 2**32 - 1}, "ROUNDS"),
        ({"threshold": 0}, "THRESHOLD"),
        ({"threshold": 101}, "THRESHOLD"),
        ({"momentum": 1.0}, "MOMENTUM"),
        ({"optimizer": "rmsprop"}, "OPTIMIZER"),
        ({"optimizer": "adam", "momentum": 0.9}, "MOMENTUM"),
        ({"lr": -1.0}, "LR"),
        ({"lr": float("inf")}, "LR"),
        ({"deadline": 0.0}, "DEADLINE"),
        ({"init": "zeros"}, "INIT"),
        ({"device": "tpu"}, "DEVICE"),
        ({"name": "two\nlines"}, "NAME"),
        ({"name": "../../etc/passwd\x00"}, "NAME"),
    ],
)
def test_a_value_out_of_range_is_named(fields, name):
    with pytest.raises(InvalidValue) as caught:
        from_message(pb.ExperimentSpec(**fields))
    assert caught.value.name == name


def person(index: int, outcome: Outcome, *, hostile: bool = False) -> ParticipantRow:
    return ParticipantRow(index, f"w/{index}", hostile, 3, 1.0, outcome, False)


def test_a_row_of_the_history():
    entry = data_pb.AccuracyEntry(
        round=3, accuracy=0.5, loss=1.25, updates=80, rejected=2, seconds=0.75
    )
    row = history_row(entry, pb.RoundFigures(expected=90, missing_honest=8))
    assert (row.round, row.accuracy, row.loss) == (3, 0.5, 1.25)
    assert (row.updates, row.rejected, row.seconds) == (80, 2, 0.75)
    assert (row.quarantined, row.asr, row.close_reason) == (0, None, None)
    assert (row.expected, row.missing_honest, row.missing_hostile) == (90, 8, 0)
    assert row.hostile_share is None
    assert row.incomplete
    entry.quarantined, entry.close_reason = 4, data_pb.CLOSE_REASON_DEADLINE
    known = pb.RoundFigures(expected=90, attack_success=0.0, hostile_share=0.25)
    later = history_row(entry, known)
    assert later == replace(
        row, quarantined=4, close_reason="deadline", asr=0.0, missing_honest=0, hostile_share=0.25
    )
    assert not later.incomplete


def test_every_reason_for_closing_a_round_has_a_name():
    for reason in data_pb.CloseReason.values():
        entry = data_pb.AccuracyEntry(round=1, close_reason=reason)
        name = history_row(entry, pb.RoundFigures()).close_reason
        assert (name is None) == (reason == data_pb.CLOSE_REASON_UNSPECIFIED)


def test_round_0_misses_nothing():
    row = history_row(data_pb.AccuracyEntry(), round_figures(0, [], 0.5))
    assert (row.expected, row.missing_honest, row.missing_hostile) == (None, None, None)
    assert (row.hostile_share, row.asr) == (None, 0.5)


def test_what_was_missing_of_a_round_is_counted_by_side():
    figures = round_figures(
        3,
        [
            person(0, Outcome.ACCEPTED),
            person(1, Outcome.EXCLUDED),
            person(2, Outcome.NOT_AGGREGATED, hostile=True),
            person(3, Outcome.QUARANTINED, hostile=True),  # kept from the rule: no share of its
            person(4, Outcome.MISSING),
            person(5, Outcome.MISSING, hostile=True),
            person(6, Outcome.MISSING),
            person(7, Outcome.REJECTED),
            person(8, Outcome.NOT_SCHEDULED),
        ],
        None,
    )
    assert (figures.expected, figures.missing_honest, figures.missing_hostile) == (8, 2, 1)
    assert figures.hostile_share == 1 / 3
    assert not figures.HasField("attack_success")
    assert not round_figures(3, [person(0, Outcome.MISSING)], None).HasField("hostile_share")


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
