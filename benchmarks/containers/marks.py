"""Marks in a model's parameters: proof of which updates were counted, and how often.

Participant i's update of round r is 1 at a few parameters that no other update touches, and 0
elsewhere. A round that counts K updates moves the model by their plain mean: by 1/K at the marks of
an update that was counted once, by 2/K at those of one that was counted twice, and nowhere else. So
the model after the last round shows every update of every round by itself.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Parameters that each update marks; all must tell the same.
COPIES = 2
#: How far from a whole number a count may be; float32 is a hundred times better.
TOLERANCE = 1e-3

#: A round and a participant.
Contribution = tuple[int, int]


@dataclass(frozen=True)
class Marks:
    """Where the marks of an experiment lie.

    Attributes:
        size: parameters of the model, at least ``COPIES * rounds * participants``.
        rounds: of the experiment; they count from 1.
        participants: their indices run below this number.
    """

    size: int
    rounds: int
    participants: int

    def __post_init__(self) -> None:
        needed = COPIES * self.rounds * self.participants
        if needed > self.size:
            raise ValueError(f"{needed} marks do not fit into {self.size} parameters")

    def update(self, round_number: int, index: int) -> NDArray[np.float32]:
        """Return ``(size,)``, a participant's update in a round."""
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
        """Return how often each update was counted; those that were not are left out.

        Args:
            movement: ``(size,)`` the last model minus the first.
            updates: for each round how many updates the aggregator says it counted, K.
        """
        moved = movement[: self._used].reshape(COPIES, self.rounds, self.participants)
        counts = {}
        for row, index in np.argwhere((moved != 0).any(0)).tolist():
            copies = moved[:, row, index] * updates.get(row + 1, 0)
            # Copies that differ show as the one that is further from 1.
            counts[row + 1, index] = float(max(copies, key=lambda count: abs(count - 1)))
        return counts


@dataclass(frozen=True)
class Account:
    """What the model, the aggregator's record and the workers' receipts say, held together.

    Attributes:
        counted: updates that the model shows.
        lost: updates whose worker was told that they were taken, and that the model does not show.
        miscounted: updates that the model shows, but not exactly once.
        contradicted: updates of which the aggregator's record says otherwise than the model.
        uneven: rounds in which the model shows another number of updates than the aggregator says.
        unheard: counted updates whose worker got no receipt: it died, or the line broke.
        missing: updates that were expected and that the model does not show.
    """

    counted: set[Contribution]
    lost: set[Contribution]
    miscounted: set[Contribution]
    contradicted: set[Contribution]
    uneven: set[int]
    unheard: set[Contribution]
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
        """Hold the records together.

        Args:
            counts: how often the model shows each update.
            updates: for each round how many updates the aggregator says it counted.
            accepted: what the aggregator's roll calls accepted.
            receipts: what the workers were told was taken.
            expected: who was called to which round.
        """
        counted, told = set(counts), set(receipts)
        seen = Counter(number for number, _ in counted)
        return cls(
            counted=counted,
            lost=told - counted,
            miscounted={one for one, count in counts.items() if abs(count - 1) > TOLERANCE},
            contradicted=counted ^ set(accepted),
            uneven={number for number, count in updates.items() if seen[number] != count},
            unheard=counted - told,
            missing=set(expected) - counted,
        )
