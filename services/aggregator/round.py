"""One round: which participants may still submit, which have, and where each update lies.

A plain state machine without any asyncio, so that every order of events can be tried in a test.
Each scheduled participant has a row; rows are ordered by participant index, whatever the order of
arrival.
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
from fedsiege.v1 import aggregator_pb2 as pb
from services.aggregator.collecting import Collector, MatrixCollector
from services.errors import Duplicate, ServiceError, WrongState
from services.rpc.tensors import Floats


class Slot:
    """Where a scheduled participant stands. No enum: these are compared for every update."""

    MISSING = 0
    ARRIVING = 1
    REJECTED = 2
    TAKEN = 3
    QUARANTINED = 4


class Round:
    """A round that takes updates.

    Args:
        number: 1 or more.
        indices: the scheduled participants, ascending, without repetition.
        threshold: how many updates close it, 1 to ``len(indices)``.
        deadline: seconds after which it closes in any case.
        collector: where the updates go.
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
        #: Rows that are no longer waited for; None while there are none.
        self._not_awaited: NDArray[np.bool_] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still takes updates."""
        return self.close_reason == pb.CLOSE_REASON_UNSPECIFIED

    @property
    def taken(self) -> int:
        """How many updates are in."""
        return self._taken

    @property
    def rejected(self) -> int:
        """How many participants had their update refused."""
        return self._rejected

    def reserve(self, index: int) -> int:
        """Let a participant's update begin to arrive; return its row.

        Raises:
            WrongState: the round is closed, or the participant is not scheduled.
            Duplicate: it has submitted already, or does so at this moment.
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
                f"participant {index} had its update for round {self.number} refused: "
                f"{self.problems[index]}",
            )
        if self._slots[row] == Slot.ARRIVING:
            raise Duplicate(
                "UPDATE_ARRIVING",
                f"an update of participant {index} for round {self.number} is arriving already",
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
        """Return where the row's chunks may be written while they arrive, if anywhere."""
        return self._collector.target(row)

    def accept(
        self, row: int, update: Floats, norm: float, num_samples: int, num_steps: int
    ) -> None:
        """Count a complete, checked update. From here on it is part of the aggregate."""
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
        """Remember that a participant sent what can never be right; it gets no second try.

        So a hostile participant that sends NaN cannot keep the round open until its deadline.
        """
        if self.is_open and self._slots[row] == Slot.ARRIVING:
            self._slots[row] = Slot.REJECTED
            self.problems[self.indices[row]] = error.message
            self._rejected += 1
            self._close_if_all_answered()

    def release(self, row: int) -> None:
        """Give a row back whose stream died, so that its participant may try again."""
        if self._slots[row] == Slot.ARRIVING:
            self._slots[row] = Slot.MISSING
            self._close_if_all_answered()

    def stop_waiting(self, indices: Iterable[int]) -> None:
        """Stop waiting for participants whose updates cannot come any more.

        An update of theirs that is arriving, or comes before the round closes, still counts.
        Participants that are not scheduled are passed over.
        """
        rows = [self._rows[index] for index in indices if index in self._rows]
        if self._not_awaited is None:
            self._not_awaited = np.zeros(len(self.indices), np.bool_)
        self._not_awaited[rows] = True
        if self.is_open:
            self._close_if_all_answered()

    def _close_if_all_answered(self) -> None:
        missing = 0
        if self._not_awaited is not None:
            missing = int((self._not_awaited & (self._slots == Slot.MISSING)).sum())
        if self._taken + self._rejected + missing == len(self.indices):
            self.close(pb.CLOSE_REASON_EVERYONE_HEARD)

    def close(self, reason: pb.CloseReason.ValueType) -> None:
        """Stop taking updates; closing twice keeps the first reason."""
        if self.is_open:
            self.close_reason = reason

    def examine(self, audit: Audit, context: RoundContext, state: AuditState) -> Examination:
        """Audit what came in, and keep from the rule who is out. The round must be closed.

        Args:
            audit: the audit; its rounds have a MatrixCollector.
            context: what the federation knows of the round.
            state: what the audit remembers of the rounds before.

        Returns:
            What it found, by row of the updates that came in, ascending.

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
        """Run the rule over what came in and counts. The round must be closed.

        Args:
            rule: the rule.
            context: what the federation knows of the round.
            state: what the rule remembers of the rounds before.

        Returns:
            The update, and ``accepted`` and ``scores`` by row of the updates taken, ascending.

        Raises:
            UnfitRound: the rule cannot work with these updates, or the audit has left none.
        """
        rows = self.taken_rows()
        if len(rows) == 0 and self.quarantined:
            raise UnfitRound(f"the audit keeps out all {self.quarantined} whose updates came in")
        return self._collector.aggregate(rule, rows, self._known(rows, context), state)

    def _known(self, rows: NDArray[np.intp], context: RoundContext) -> RoundContext:
        """Return the context of some rows."""
        participants = torch.tensor([self.indices[row] for row in rows], dtype=torch.int64)
        return replace(context, round_number=self.number, participants=participants)

    @property
    def quarantined(self) -> int:
        """How many updates the audit keeps from the rule."""
        return int((self._slots == Slot.QUARANTINED).sum())

    def taken_rows(self) -> NDArray[np.intp]:
        """Return the rows whose update is in and counts, ascending."""
        return np.flatnonzero(self._slots == Slot.TAKEN)

    def outcomes(self, accepted: torch.Tensor | None) -> NDArray[np.int8]:
        """Return what became of each scheduled participant.

        Args:
            accepted: bool for each taken row, or None if no rule made anything of the round: then
                nobody was excluded either.
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
