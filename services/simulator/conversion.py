"""Between the messages of the contract and what the simulator works with."""

import numpy as np

from fedsiege.spec import ExperimentSpec
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb
from services.simulator.results import (
    Confusion,
    HistoryRow,
    Outcome,
    ParticipantRow,
    Standing,
    Verdict,
)


def from_message(message: pb.ExperimentSpec) -> ExperimentSpec:
    """Read a specification; fields that are not set take their default.

    Raises:
        InvalidValue: a value is out of its range.
    """
    return ExperimentSpec.of({field.name: value for field, value in message.ListFields()})


def to_message(spec: ExperimentSpec) -> pb.ExperimentSpec:
    """Spell a specification as a message; what is None stays unset."""
    return pb.ExperimentSpec(**spec.model_dump(exclude_none=True))


def history_row(entry: data_pb.AccuracyEntry, asr: float | None = None) -> HistoryRow:
    """Turn an entry of the history into a row of the results.

    Args:
        entry: what the aggregator says of the round.
        asr: the attack success rate of its model, which only the simulator can measure.
    """
    return HistoryRow(
        round=entry.round,
        accuracy=entry.accuracy,
        loss=entry.loss,
        updates=entry.updates,
        rejected=entry.rejected,
        seconds=entry.seconds,
        quarantined=entry.quarantined,
        asr=asr,
        problem=entry.problem,
    )


def confusion(entry: data_pb.AccuracyEntry) -> Confusion | None:
    """Return the test of a round by class; None if the model was not tested."""
    classes = len(entry.class_samples)
    if classes == 0 or len(entry.confusion) != classes * classes:
        return None
    counts = np.array(entry.confusion, np.int64).reshape(classes, classes)
    return Confusion(counts, np.array(entry.class_samples, np.int64))


def participant_row(
    participant: data_pb.Participant, round_number: int, hostile: set[int]
) -> ParticipantRow:
    """Join what the aggregator saw of a participant with what the simulator knows of it."""
    outcome = data_pb.Outcome.Name(participant.outcome)
    standing = data_pb.Standing.Name(participant.standing).removeprefix("STANDING_").lower()
    return ParticipantRow(
        index=participant.participant_index,
        identity=participant.identity,
        hostile=participant.participant_index in hostile,
        round=round_number,
        norm=participant.norm if participant.HasField("norm") else None,
        outcome=Outcome(outcome.removeprefix("OUTCOME_").lower()),
        flagged=participant.flagged,
        score=participant.score if participant.HasField("score") else None,
        standing=Standing(standing) if participant.standing else None,
        returns_in_round=participant.returns_in_round,
        quarantines=participant.quarantines,
        verdicts=tuple(
            Verdict(one.detector, one.score, one.flagged) for one in participant.verdicts
        ),
    )
