"""One round: the state of every scheduled participant and its update, from opening to outcomes.

A state machine without asyncio, so that a test can try every order of events. Each scheduled
participant has a row; rows are ordered by participant index, not by arrival.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from fedsiege.detectors import Audit, AuditState, Examination
from fedsiege.errors import UnfitRound
from fedsiege.rules import Aggregation, RoundContext, Rule
from fedsiege.services.aggregator.collecting import Collector, MatrixCollector
from fedsiege.services.errors import Duplicate, ServiceError, WrongState
from fedsiege.services.rpc.tensors import Floats
from fedsiege.v1 import aggregator_pb2 as pb


class Slot:
    """States of a scheduled participant: integers, since they fill an array and are fast."""

    MISSING = 0
    ARRIVING = 1
    REJECTED = 2
    TAKEN = 3
    QUARANTINED = 4


class Round:
    """One round of a federation.

    Args:
        number: the number of the round, 1 or more.
        indices: the scheduled participants, ascending, without repetition.
        threshold: the number of updates that closes it, 1 to ``len(indices)``.
        deadline: seconds after which it closes in any case.
        collector: holds the updates.
    """

    def __init__(
        self,
        number: int,
        indices: Sequence[int],
        threshold: int,
        deadline: float,
        collector: Collector,
    ) -> None:
        self.number = number
        self.indices = list(indices)
        self.threshold = threshold
        self.deadline = deadline
        self.opened_at = time.monotonic()
        self.close_reason = pb.CLOSE_REASON_UNSPECIFIED
        self.problems: dict[int, str] = {}
        self._collector = collector
        self._rows = {index: row for row, index in enumerate(self.indices)}
        self._slots = np.zeros(len(self.indices), np.int8)
        self.norms: NDArray[np.float64] = np.full(len(self.indices), np.nan)
        self._taken = 0
        self._rejected = 0
        #: ``(n,)`` which rows the round no longer waits for; None while it waits for all.
        self._not_awaited: NDArray[np.bool_] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still takes updates."""
        return self.close_reason == pb.CLOSE_REASON_UNSPECIFIED

    @property
    def taken(self) -> int:
        """The number of accepted updates, including those in quarantine."""
        return self._taken

    @property
    def rejected(self) -> int:
        """The number of participants whose update was refused."""
        return self._rejected

    def reserve(self, index: int) -> int:
        """Mark a participant's update as arriving, and return its row.

        Raises:
            WrongState: the round is closed, or the participant is not scheduled.
            Duplicate: an update of it was accepted or refused, or is arriving.
        """
        self.require_open()
        row = self._rows.get(index)
        if row is None:
            raise WrongState(
                "NOT_SCHEDULED", f"participant {index} is not scheduled in round {self.number}"
            )
        if self._slots[row] == Slot.REJECTED:
            raise Duplicate(
                "UPDATE_REFUSED",
                f"the update of participant {index} for round {self.number} was refused: "
                f"{self.problems[index]}",
            )
        if self._slots[row] == Slot.ARRIVING:
            raise Duplicate(
                "UPDATE_ARRIVING",
                f"another update of participant {index} for round {self.number} is arriving",
            )
        if self._slots[row] != Slot.MISSING:
            raise Duplicate(
                "DUPLICATE_UPDATE",
                f"participant {index} has already submitted an update for round {self.number}",
            )
        self._slots[row] = Slot.ARRIVING
        return row

    def require_open(self) -> None:
        """Raise WrongState if the round is closed."""
        if not self.is_open:
            raise WrongState("ROUND_CLOSED", f"round {self.number} is closed")

    def target(self, row: int) -> Floats | None:
        """Return the array to write the row's chunks to on arrival; None if there is none."""
        return self._collector.target(row)

    def accept(
        self, row: int, update: Floats, norm: float, num_samples: int, num_steps: int
    ) -> None:
        """Add a complete, checked update to the aggregate; close the round at the threshold.

        Args:
            row: the participant's row.
            update: ``(d,)`` the values.
            norm: their L2 norm.
            num_samples: the reported number of samples.
            num_steps: the reported number of local steps.

        Raises:
            WrongState: the round is closed.
        """
        self.require_open()
        self._collector.put(row, update, norm, num_samples, num_steps)
        self._slots[row] = Slot.TAKEN
        self.norms[row] = norm
        self._taken += 1
        if self._taken >= self.threshold:
            self.close(pb.CLOSE_REASON_THRESHOLD)
        else:
            self._close_if_all_answered()

    def reject(self, row: int, error: ServiceError) -> None:
        """Record that a participant's update was invalid; it gets no second attempt.

        A hostile participant that sends NaN thus cannot keep the round open until its deadline.
        """
        if self.is_open and self._slots[row] == Slot.ARRIVING:
            self._slots[row] = Slot.REJECTED
            self.problems[self.indices[row]] = error.message
            self._rejected += 1
            self._close_if_all_answered()

    def release(self, row: int) -> None:
        """Free a row whose update did not arrive completely; its participant may try again."""
        if self._slots[row] == Slot.ARRIVING:
            self._slots[row] = Slot.MISSING
            self._close_if_all_answered()

    def stop_waiting(self, indices: Iterable[int]) -> None:
        """Stop waiting for participants whose updates cannot come any more.

        An update of theirs that arrives before the round closes still counts. Participants that
        are not scheduled are ignored.
        """
        rows = [self._rows[index] for index in indices if index in self._rows]
        if self._not_awaited is None:
            self._not_awaited = np.zeros(len(self.indices), np.bool_)
        self._not_awaited[rows] = True
        if self.is_open:
            self._close_if_all_answered()

    def _close_if_all_answered(self) -> None:
        """Close the round if it waits for no further participant."""
        missing = 0
        if self._not_awaited is not None:
            missing = int((self._not_awaited & (self._slots == Slot.MISSING)).sum())
        if self._taken + self._rejected + missing == len(self.indices):
            self.close(pb.CLOSE_REASON_EVERYONE_HEARD)

    def close(self, reason: pb.CloseReason.ValueType) -> None:
        """Close the round; a closed one keeps its first reason."""
        if self.is_open:
            self.close_reason = reason

    def examine(self, audit: Audit, context: RoundContext, state: AuditState) -> Examination:
        """Audit the updates of the closed round, and withhold quarantined ones from the rule.

        Args:
            audit: the audit; the collector must be a MatrixCollector.
            context: the context of the round, without participants.
            state: the state of the audit after the round before.

        Returns:
            The examination, with a row for each accepted update, ascending by index.

        Raises:
            UnfitRound: a detector cannot work with these updates.
        """
        assert isinstance(self._collector, MatrixCollector), "a sum cannot be audited"
        rows = self.taken_rows()
        updates, known = self._collector.gather(rows, self._known(rows, context))
        examination = audit.examine(updates, known, state)
        self._slots[rows[examination.out.numpy()]] = Slot.QUARANTINED
        return examination

    def aggregate(self, rule: Rule, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate the updates of the closed round that are not in quarantine.

        Args:
            rule: the rule.
            context: the context of the round, without participants.
            state: the state of the rule after the round before.

        Returns:
            The aggregation; ``accepted`` and ``scores`` have a row for each of these updates.

        Raises:
            UnfitRound: the rule cannot work with these updates, or all are in quarantine.
        """
        rows = self.taken_rows()
        if len(rows) == 0 and self.quarantined:
            raise UnfitRound(f"the audit quarantined all updates ({self.quarantined})")
        return self._collector.aggregate(rule, rows, self._known(rows, context), state)

    def _known(self, rows: NDArray[np.intp], context: RoundContext) -> RoundContext:
        """Return the context with the round's number and the participants of some rows."""
        participants = torch.tensor([self.indices[row] for row in rows], dtype=torch.int64)
        return replace(context, round_number=self.number, participants=participants)

    @property
    def quarantined(self) -> int:
        """The number of updates in quarantine."""
        return int((self._slots == Slot.QUARANTINED).sum())

    def taken_rows(self) -> NDArray[np.intp]:
        """Return the rows with an accepted update that is not in quarantine, ascending."""
        return np.flatnonzero(self._slots == Slot.TAKEN)

    def outcomes(self, accepted: torch.Tensor | None) -> NDArray[np.int8]:
        """Return the outcome of each scheduled participant, ``(n,)`` values of ``pb.Outcome``.

        Args:
            accepted: for each of ``taken_rows`` whether the rule gave it weight; None if the round
                was not aggregated.
        """
        outcomes = np.full(len(self.indices), pb.OUTCOME_MISSING, np.int8)
        outcomes[self._slots == Slot.REJECTED] = pb.OUTCOME_REJECTED
        outcomes[self._slots == Slot.QUARANTINED] = pb.OUTCOME_QUARANTINED
        taken = self.taken_rows()
        outcomes[taken] = pb.OUTCOME_NOT_AGGREGATED
        if accepted is not None:
            outcomes[taken] = pb.OUTCOME_EXCLUDED
            outcomes[taken[accepted.cpu().numpy()]] = pb.OUTCOME_ACCEPTED
        return outcomes
