"""The audit of a federation: looks at each round when it closes, and says in the log what follows.

It runs in the thread of the aggregation, before the rule, which is handed only the updates of those
who are not out.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsiege.detectors import Audit, AuditState, Examination, Ledger, Standing
from fedsiege.rules import RoundContext
from fedsiege.v1 import aggregator_pb2 as pb
from services.aggregator.participants import Participants
from services.aggregator.round import Round

log = logging.getLogger(__name__)

STANDINGS = {
    Standing.GOOD: pb.STANDING_GOOD,
    Standing.QUARANTINED: pb.STANDING_QUARANTINED,
    Standing.PROBATION: pb.STANDING_PROBATION,
}


@dataclass(frozen=True)
class AuditDetail:
    """What the audit made of a closed round.

    Attributes:
        audit: the audit.
        round_number: the round.
        ledger: as it stands after the round.
        scores: ``(m, n)`` of each detector for each scheduled participant, NaN where no update was
            taken in.
        flagged: ``(m, n)`` which of them count as flags.
    """

    audit: Audit
    round_number: int
    ledger: Ledger
    scores: NDArray[np.float64]
    flagged: NDArray[np.bool_]

    def describe(self, message: pb.Participant, place: int | None) -> None:
        """Add to the description of a participant.

        Args:
            message: the description.
            place: its place among the scheduled, None if it was not.
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
    """Audits the rounds of one federation, one after the other.

    Args:
        audit: the detectors and the terms.
        participants: the roll, for names in the log.
    """

    def __init__(self, audit: Audit, participants: Participants) -> None:
        self._audit = audit
        self._participants = participants
        self._state = AuditState((None,) * len(audit.detectors))

    def examine(self, closed: Round, context: RoundContext) -> AuditDetail:
        """Look at a closed round, and take out of it who is out.

        Raises:
            UnfitRound: a detector cannot work with this round, or nobody is left for the rule.
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
        """Write a line for whoever goes out or comes back, and for flags that do not count."""
        number, terms = closed.number, self._audit.quarantine
        for note in examination.notes:
            log.warning("round %d: audit: %s", number, note)
        places = {index: place for place, index in enumerate(closed.indices)}
        for index, record in detail.ledger.records.items():
            earlier = before.of(index)
            who = f"participant {index} ({self._participants[index].identity})"
            back = earlier.returns == number
            if back:
                log.info("round %d: %s is back, on probation", number, who)
            if record.quarantines > earlier.quarantines:
                log.info(
                    "round %d: %s is flagged by %s: out, returns in round %d",
                    number,
                    who,
                    self._reasons(detail, places[index]),
                    record.returns,
                )
            elif not back and earlier.clean < terms.probation <= record.clean:
                log.info("round %d: %s is in good standing again", number, who)

    def _reasons(self, detail: AuditDetail, place: int) -> str:
        """Return the detectors that flagged a participant, with their scores."""
        return ", ".join(
            f"{detector.name} ({detail.scores[row, place]:.3g})"
            for row, detector in enumerate(self._audit.detectors)
            if detail.flagged[row, place]
        )
