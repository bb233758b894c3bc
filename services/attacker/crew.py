"""Hostile participants: they see what any participant sees, and craft their updates from it."""

from collections.abc import Iterator, Sequence

import torch

from fedsiege import attacks, models
from fedsiege.attacks import Attack, Broadcast
from fedsiege.v1 import simulator_pb2 as pb
from services.wire.submitting import Update
from services.wire.tensors import Floats
from services.wire.worker import Crew

#: Updates crafted and handed to the wire at a time.
_BLOCK = 64


class HostileCrew(Crew):
    """The hostile participants of one worker."""

    def __init__(self) -> None:
        self._size = 0
        self._seen: tuple[int, torch.Tensor] | None = None
        self._previous: torch.Tensor | None = None

    @property
    def size(self) -> int:
        """How many parameters the model has."""
        return self._size

    def prepare(self, join: pb.Join) -> str:
        """Read the attack."""
        torch.set_num_threads(1)
        self._attack: Attack = attacks.parse(join.attack.attack)
        self._join = join
        self._size = models.size(join.model)
        return f"{attacks.spell(self._attack)} ({self._attack.knowledge.value})"

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Craft the updates. The sample and step counts reported are those of nobody special."""
        model = torch.from_numpy(weights)
        if self._seen is not None and self._seen[0] != round_number:
            self._previous = self._seen[1]
        self._seen = (round_number, model)  # a round told twice is still one round
        broadcast = Broadcast(
            round_number=round_number,
            model=model,
            previous=self._previous,
            architecture=self._join.model,
            seed=self._join.seed,
        )
        for start in range(0, len(indices), _BLOCK):
            some = indices[start : start + _BLOCK]
            rows = self._attack.craft(broadcast, some)
            yield [
                Update(index, row.contiguous().numpy(), 1, 1)
                for index, row in zip(some, rows, strict=True)
            ]
