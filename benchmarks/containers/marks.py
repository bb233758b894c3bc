"""Marks in a model's parameters: proof of which updates were counted, and how often.

The update of participant i in round r is 1 at a few parameters that no other update changes, and 0
elsewhere. A round that counts K updates changes the model by their mean: by 1/K at the marks of an
update that was counted once, by 2/K at those of one that was counted twice. So the model after the
last round shows for every update of every round how often it was counted.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Parameters that each update marks; all must show the same count.
COPIES = 2
#: Tolerance of a count; float32 is a hundred times more precise.
TOLERANCE = 1e-3

#: The round and the participant of an update.
Contribution = tuple[int, int]


@dataclass(frozen=True)
class Marks:
    """The positions of an experiment's marks.

    Attributes:
        size: number of parameters of the model, at least ``COPIES * rounds * participants``.
        rounds: number of rounds, which count from 1.
        participants: number of participants, whose indices count from 0.
    """

    size: int
    rounds: int
    participants: int

    def __post_init__(self) -> None:
        needed = COPIES * self.rounds * self.participants
        if needed > self.size:
            raise ValueError(f"{needed} marks do not fit into {self.size} parameters")

    def update(self, round_number: int, index: int) -> NDArray[np.float32]:
        """Return a participant's update in a round, ``(size,)``."""
        if not (1 <= round_number <= self.rounds and 0 <= index < self.participants):
            raise ValueError(f"participant {index} has no marks in round {round_number}")
        update = np.zeros(self.size, np.float32)
        update[: self._used].reshape(COPIES, self.rounds, -1)[:, round_number - 1, index] = 1
        return update

    @property
    def _used(self) -> int:
        return COPIES * self.rounds * self.participants

    def counts(
        self, movement: NDArray[np.float32], updates: Mapping[int, int]
    ) -> dict[Contribution, float]:
        """Return how often each update was counted, without those that were not.

        Args:
            movement: ``(size,)`` the last model minus the first.
            updates: K, the number of updates that the aggregator reports, by round.
        """
        moved = movement[: self._used].reshape(COPIES, self.rounds, self.participants)
        counts = {}
        for row, index in np.argwhere((moved != 0).any(0)).tolist():
            copies = moved[:, row, index] * updates.get(row + 1, 0)
            # If the copies differ, the count that is further from 1 is returned.
            counts[row + 1, index] = float(max(copies, key=lambda count: abs(count - 1)))
        return counts


@dataclass(frozen=True)
class Account:
    """The comparison of the model, the aggregator's record and the workers' receipts.

    Attributes:
        counted: updates that the model shows.
        lost: updates with a receipt that the model does not show.
        miscounted: updates that the model shows, but not exactly once.
        disagreeing: updates that only one of model and aggregator's record shows.
        wrong_totals: rounds for which the aggregator reports another number than the model shows.
        without_receipt: counted updates without a receipt: the worker or its connection failed.
        missing: expected updates that the model does not show.
    """

    counted: set[Contribution]
    lost: set[Contribution]
    miscounted: set[Contribution]
    disagreeing: set[Contribution]
    wrong_totals: set[int]
    without_receipt: set[Contribution]
    missing: set[Contribution]

    @classmethod
    def of(
        cls,
        counts: Mapping[Contribution, float],
        updates: Mapping[int, int],
        accepted: Collection[Contribution],
        receipts: Collection[Contribution],
        expected: Collection[Contribution],
    ) -> "Account":
        """Compare the records.

        Args:
            counts: how often the model shows each update.
            updates: the number of updates that the aggregator reports, by round.
            accepted: the updates that the aggregator's record lists as accepted.
            receipts: the updates for which a worker got a receipt.
            expected: the updates of all scheduled participants.
        """
        counted, with_receipt = set(counts), set(receipts)
        seen = Counter(number for number, _ in counted)
        return cls(
            counted=counted,
            lost=with_receipt - counted,
            miscounted={one for one, count in counts.items() if abs(count - 1) > TOLERANCE},
            disagreeing=counted ^ set(accepted),
            wrong_totals={number for number, count in updates.items() if seen[number] != count},
            without_receipt=counted - with_receipt,
            missing=set(expected) - counted,
        )
