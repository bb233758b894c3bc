"""Between the messages of the contract and what the simulator works with."""

from fedsiege.spec import ExperimentSpec
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb
from services.simulator.results import HistoryRow, Outcome, ParticipantRow


def from_message(message: pb.ExperimentSpec) -> ExperimentSpec:
    """Read a specification; fields that are not set take their default.

    Raises:
        InvalidValue: a value is out of its range.
    """
    return ExperimentSpec.of({field.name: value for field, value in message.ListFields()})


def to_message(spec: ExperimentSpec) -> pb.ExperimentSpec:
    """Spell a specification as a message; what is None stays unset."""
    return pb.ExperimentSpec(**spec.model_dump(exclude_none=True))


def history_row(entry: data_pb.AccuracyEntry) -> HistoryRow:
    """Turn an entry of the history into a row of the results."""
    return HistoryRow(
        entry.round, entry.accuracy, entry.loss, entry.updates, entry.rejected, entry.seconds
    )


def participant_row(
    participant: data_pb.Participant, round_number: int, hostile: set[int]
) -> ParticipantRow:
    """Join what the aggregator saw of a participant with what the simulator knows of it."""
    name = data_pb.Outcome.Name(participant.outcome)
    return ParticipantRow(
        index=participant.participant_index,
        identity=participant.identity,
        hostile=participant.participant_index in hostile,
        round=round_number,
        norm=participant.norm if participant.HasField("norm") else None,
        outcome=Outcome(name.removeprefix("OUTCOME_").lower()),
        flagged=participant.flagged,
    )
