"""The audit of a federation: runs the detectors on each closed round and logs their consequences.

It runs in the thread of the aggregation, before the rule, which then gets only the updates of
participants that are not in quarantine.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsiege.detectors import Audit, AuditState, Examination, Ledger, Standing
from fedsiege.rules import RoundContext
from fedsiege.services.aggregator.participants import Participants
from fedsiege.services.aggregator.round import Round
from fedsiege.v1 import aggregator_pb2 as pb

log = logging.getLogger(__name__)

STANDINGS = {
    Standing.GOOD: pb.STANDING_GOOD,
    Standing.QUARANTINED: pb.STANDING_QUARANTINED,
    Standing.PROBATION: pb.STANDING_PROBATION,
}


@dataclass(frozen=True)
class AuditDetail:
    """Results of the audit of a closed round, for m detectors and n scheduled participants.

    Attributes:
        audit: the detectors and the terms of quarantine.
        round_number: the round.
        ledger: the record of every participant after the round.
        scores: ``(m, n)`` score of each participant by each detector, NaN without an update.
        flagged: ``(m, n)`` whether the detector flagged the participant.
    """

    audit: Audit
    round_number: int
    ledger: Ledger
    scores: NDArray[np.float64]
    flagged: NDArray[np.bool_]

    def describe(self, message: pb.Participant, place: int | None) -> None:
        """Add standing and verdicts to the description of a participant.

        Args:
            message: the description; its participant index is set.
            place: the participant's column in ``scores``; None if it was not scheduled.
        """
        record, following = self.ledger.of(message.participant_index), self.round_number + 1
        standing = self.audit.quarantine.standing(record, following)
        message.standing = STANDINGS[standing]
        if standing is Standing.QUARANTINED:
            message.returns_in_round = record.returns
        message.quarantines = record.quarantines
        if place is None or np.isnan(self.scores[0, place]):
            return
        message.flagged = bool(self.flagged[:, place].any())
        for row, detector in enumerate(self.audit.detectors):
            message.verdicts.add(
                detector=detector.name,
                score=self.scores[row, place],
                flagged=bool(self.flagged[row, place]),
            )


class Auditor:
    """Audits the rounds of one federation in order, and keeps the state of the audit.

    Args:
        audit: the detectors and the terms of quarantine.
        participants: the enrolled participants, for their identities in the log.
    """

    def __init__(self, audit: Audit, participants: Participants) -> None:
        self._audit = audit
        self._participants = participants
        self._state = AuditState((None,) * len(audit.detectors))

    def examine(self, closed: Round, context: RoundContext) -> AuditDetail:
        """Audit a closed round and withhold the updates of quarantined participants from the rule.

        Args:
            closed: the round.
            context: the context of the round, without participants.

        Returns:
            The results.

        Raises:
            UnfitRound: a detector cannot work with this round.
        """
        before = self._state.ledger
        rows = closed.taken_rows()
        examination = closed.examine(self._audit, context, self._state)
        self._state = examination.state
        scores = np.full((len(self._audit.detectors), len(closed.indices)), np.nan)
        flagged = np.zeros(scores.shape, np.bool_)
        scores[:, rows] = examination.scores.numpy()
        flagged[:, rows] = examination.flagged.numpy()
        detail = AuditDetail(self._audit, closed.number, examination.state.ledger, scores, flagged)
        self._report(closed, examination, before, detail)
        return detail

    def _report(
        self, closed: Round, examination: Examination, before: Ledger, detail: AuditDetail
    ) -> None:
        """Log the notes of the audit and every change of a participant's standing."""
        number, terms = closed.number, self._audit.quarantine
        for note in examination.notes:
            log.warning("round %d: audit: %s", number, note)
        places = {index: place for place, index in enumerate(closed.indices)}
        for index, record in detail.ledger.records.items():
            earlier = before.of(index)
            name = f"participant {index} ({self._participants[index].identity})"
            returned = earlier.returns == number
            if returned:
                log.info("round %d: %s is back, on probation", number, name)
            if record.quarantines > earlier.quarantines:
                log.info(
                    "round %d: %s is flagged by %s: in quarantine, returns in round %d",
                    number,
                    name,
                    self._reasons(detail, places[index]),
                    record.returns,
                )
            elif not returned and earlier.clean < terms.probation <= record.clean:
                log.info("round %d: %s is in good standing again", number, name)

    def _reasons(self, detail: AuditDetail, place: int) -> str:
        """Return the detectors that flagged a participant, with their scores."""
        return ", ".join(
            f"{detector.name} ({detail.scores[row, place]:.3g})"
            for row, detector in enumerate(self._audit.detectors)
            if detail.flagged[row, place]
        )
