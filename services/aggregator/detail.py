"""What the aggregator says of a closed round, and of the participants in it."""

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedsiege.training.evaluation import Score
from fedsiege.v1 import aggregator_pb2 as pb
from services.aggregator.auditing import AuditDetail
from services.aggregator.participants import Participant
from services.errors import NotFound
from services.rpc.tensors import Floats


@dataclass(frozen=True)
class RoundDetail:
    """What became of each scheduled participant of a closed round, by ascending index.

    Attributes:
        indices: the scheduled participants.
        outcomes: ``(n,)`` what became of each.
        norms: ``(n,)`` of the updates, NaN where none was taken in.
        scores: ``(n,)`` the rule's, NaN where there is none.
        problems: by index, why an update was refused.
        audit: what the audit made of it; None without one, or if it failed.
    """

    indices: list[int]
    outcomes: NDArray[np.int8]
    norms: NDArray[np.float64]
    scores: NDArray[np.float64]
    problems: dict[int, str]
    audit: AuditDetail | None = None

    @cached_property
    def _places(self) -> dict[int, int]:
        return {index: place for place, index in enumerate(self.indices)}

    def describe(self, message: pb.Participant) -> None:
        """Add to the description of a participant what became of it."""
        index = message.participant_index
        place = self._places.get(index)
        if self.audit is not None:
            self.audit.describe(message, place)
        if place is None:
            return
        message.outcome = pb.Outcome.ValueType(self.outcomes[place])
        message.problem = self.problems.get(index, "")
        if not np.isnan(self.norms[place]):
            message.norm = self.norms[place]
        if not np.isnan(self.scores[place]):
            message.score = self.scores[place]


class RoundDetails:
    """The last closed rounds in detail.

    Args:
        kept: how many are kept, 1 or more.
    """

    def __init__(self, kept: int) -> None:
        self._rounds: deque[tuple[int, RoundDetail]] = deque(maxlen=kept)

    def add(self, number: int, detail: RoundDetail) -> None:
        """Keep a round that has just closed, and forget the one that is too long ago."""
        self._rounds.append((number, detail))

    def find(self, number: int) -> tuple[int, RoundDetail | None]:
        """Return a closed round's number and detail.

        Args:
            number: the round; 0 for the last, without a detail before any has closed.

        Raises:
            NotFound: it has not closed, or is too long ago.
        """
        newest = self._rounds[-1] if self._rounds else (0, None)
        if number == 0:
            return newest
        for one, detail in self._rounds:
            if one == number:
                return one, detail
        raise NotFound(
            "UNKNOWN_ROUND",
            f"round {number} is not among the last {self._rounds.maxlen} that closed; "
            f"the newest is {newest[0]}",
        )


def describe(someone: Participant, detail: RoundDetail | None) -> pb.Participant:
    """Say what is known of a participant.

    Args:
        someone: the participant.
        detail: of the round to report on; None before any has closed.
    """
    message = pb.Participant(
        participant_index=someone.index,
        identity=someone.identity,
        accepted_total=someone.accepted,
        rejected_total=someone.rejected,
        outcome=pb.OUTCOME_NOT_SCHEDULED,
    )
    message.enroll_time.FromMicroseconds(int(someone.enrolled_at * 1e6))
    if detail is not None:
        detail.describe(message)
    return message


def tested_entry(score: Score, weights: Floats) -> pb.AccuracyEntry:
    """Return the part of an entry that the test of a model says."""
    return pb.AccuracyEntry(
        accuracy=score.accuracy,
        loss=score.loss,
        model_finite=bool(np.isfinite(weights).all()),
        confusion=score.confusion.flatten().tolist(),
        class_samples=score.class_samples.tolist(),
    )
