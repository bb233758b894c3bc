"""Conversion of the aggregator's and attacker's messages to rows of the results."""

from collections.abc import Sequence

import numpy as np

from fedsiege.peer_text import plain
from fedsiege.results import (
    CloseReason,
    Confusion,
    HistoryRow,
    IntrusionRow,
    Outcome,
    ParticipantRow,
    Standing,
    Verdict,
)
from fedsiege.results.participants import RULED_ON
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb

#: Largest number of characters of a round's problem.
LONGEST_PROBLEM = 1_000


def history_row(
    entry: data_pb.AccuracyEntry,
    participants: Sequence[ParticipantRow] = (),
    attack_success: float | None = None,
    epsilon: float | None = None,
) -> HistoryRow:
    """Return the row of ``history.csv`` of a round.

    Args:
        entry: the aggregator's entry of the round.
        participants: all participants in that round; empty for round 0.
        attack_success: the attack success rate after the round, 0 to 1; None without a target.
        epsilon: the privacy budget spent up to the round; None without a mechanism.
    """
    scheduled = [one for one in participants if one.outcome is not Outcome.NOT_SCHEDULED]
    missing = [one.hostile for one in scheduled if one.outcome is Outcome.MISSING]
    ruled_on = [one.hostile for one in scheduled if one.outcome in RULED_ON]
    played = entry.round > 0
    reason = data_pb.CloseReason.Name(entry.close_reason).removeprefix("CLOSE_REASON_").lower()
    return HistoryRow(
        round=entry.round,
        accuracy=entry.accuracy,
        loss=entry.loss,
        updates=entry.updates,
        rejected=entry.rejected,
        seconds=entry.seconds,
        quarantined=entry.quarantined,
        asr=attack_success,
        problem=plain(entry.problem, LONGEST_PROBLEM),
        close_reason=CloseReason(reason) if entry.close_reason else None,
        expected=len(scheduled) if played else None,
        missing_honest=len(missing) - sum(missing) if played else None,
        missing_hostile=sum(missing) if played else None,
        hostile_share=sum(ruled_on) / len(ruled_on) if ruled_on else None,
        epsilon=epsilon,
    )


def confusion(entry: data_pb.AccuracyEntry) -> Confusion | None:
    """Return the confusion matrix of a round; None if the model was not tested."""
    classes = len(entry.class_samples)
    if classes == 0 or len(entry.confusion) != classes * classes:
        return None
    counts = np.array(entry.confusion, np.int64).reshape(classes, classes)
    return Confusion(counts, np.array(entry.class_samples, np.int64))


def intrusion_row(report: pb.IntrusionReport) -> IntrusionRow:
    """Return the results row of an attacker's intrusion report."""
    return IntrusionRow(
        intrusion=report.intrusion,
        tried=report.tried,
        succeeded=report.succeeded,
        seconds=report.seconds,
        per_second=report.succeeded / report.seconds if report.seconds else 0.0,
        refusals=" ".join(
            f"{reason}:{report.refusals[reason]}" for reason in sorted(report.refusals)
        ),
    )


def participant_row(
    participant: data_pb.Participant, round_number: int, hostile: set[int]
) -> ParticipantRow:
    """Return the results row of a participant in a round.

    Args:
        participant: the aggregator's description.
        round_number: the round.
        hostile: the indices of all hostile participants.
    """
    outcome = data_pb.Outcome.Name(participant.outcome)
    standing = data_pb.Standing.Name(participant.standing).removeprefix("STANDING_").lower()
    return ParticipantRow(
        index=participant.participant_index,
        identity=plain(participant.identity),
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
            Verdict(plain(one.detector), one.score, one.flagged) for one in participant.verdicts
        ),
    )
