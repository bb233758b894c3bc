"""Details of closed rounds: norm, score and outcome of every participant, and their messages."""

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedsiege.services.aggregator.auditing import AuditDetail
from fedsiege.services.aggregator.participants import Participant
from fedsiege.services.errors import NotFound
from fedsiege.services.rpc.tensors import Floats
from fedsiege.training.evaluation import Score
from fedsiege.v1 import aggregator_pb2 as pb


@dataclass(frozen=True)
class RoundDetail:
    """Outcomes of the n scheduled participants of a closed round.

    Attributes:
        indices: the scheduled participants, ascending.
        outcomes: ``(n,)`` values of ``pb.Outcome``.
        norms: ``(n,)`` L2 norms of the updates, NaN without an update.
        scores: ``(n,)`` scores of the rule, NaN without a score.
        problems: the reason of each refused update, by participant index.
        audit: the results of the audit; None without an audit, or if it failed.
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
        """Add outcome, norm, score and verdicts to the description of a participant."""
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
    """The details of the last closed rounds.

    Args:
        kept: the number of rounds kept, 1 or more.
    """

    def __init__(self, kept: int) -> None:
        self._rounds: deque[tuple[int, RoundDetail]] = deque(maxlen=kept)

    def add(self, number: int, detail: RoundDetail) -> None:
        """Add a round that has just closed, and drop the oldest one above the limit."""
        self._rounds.append((number, detail))

    def find(self, number: int) -> tuple[int, RoundDetail | None]:
        """Return the number and the details of a closed round.

        Args:
            number: the round; 0 for the last, for which (0, None) is returned before any closed.

        Raises:
            NotFound: the round has not closed, or its details are no longer kept.
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


def describe(participant: Participant, detail: RoundDetail | None) -> pb.Participant:
    """Return the description of a participant.

    Args:
        participant: the participant.
        detail: the round to report on; None before any has closed.
    """
    message = pb.Participant(
        participant_index=participant.index,
        identity=participant.identity,
        accepted_total=participant.accepted,
        rejected_total=participant.rejected,
        outcome=pb.OUTCOME_NOT_SCHEDULED,
    )
    message.enroll_time.FromMicroseconds(int(participant.enrolled_at * 1e6))
    if detail is not None:
        detail.describe(message)
    return message


def tested_entry(score: Score, weights: Floats) -> pb.AccuracyEntry:
    """Return a history entry with the results of a test of the model only."""
    return pb.AccuracyEntry(
        accuracy=score.accuracy,
        loss=score.loss,
        model_finite=bool(np.isfinite(weights).all()),
        confusion=score.confusion.flatten().tolist(),
        class_samples=score.class_samples.tolist(),
    )
