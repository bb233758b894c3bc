"""Hostile participants: they see what their attack is entitled to, and craft their updates from it.

Those of attacks that know no more than the broadcast model hold no data. Compromised ones do, and
train; an attack that knows everything is told what the benign participants will send, which
training them once more tells, since it gives the same result wherever it is done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fedsiege import attacks, models
from fedsiege.attacks import Attack, Broadcast, Knowledge
from fedsiege.training.base import Shard
from fedsiege.training.hosted import LocalTraining
from fedsiege.v1 import simulator_pb2 as pb
from services.rpc import settings
from services.rpc.tensors import Floats
from services.worker.submitting import Update
from services.worker.training import local_training
from services.worker.worker import HostedParticipants

#: Updates crafted and handed to the wire at a time.
_BLOCK = 64


class HostileParticipants(HostedParticipants):
    """The hostile participants of one worker.

    Args:
        data: the folder of the data sets; used by attacks whose participants hold data.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._size = 0
        self._seen: tuple[int, Tensor] | None = None
        self._previous: Tensor | None = None
        self._round = 0
        self._before: object | None = None
        self._after: object | None = None
        self._training: LocalTraining | None = None
        self._order = pb.TakePart()

    @property
    def size(self) -> int:
        """How many parameters the model has."""
        return self._size

    def prepare(self, join: pb.Join) -> str:
        """Read the attack; with one that knows more than the broadcast, get ready to train."""
        torch.set_num_threads(1)
        self._attack: Attack = attacks.parse(join.attack.attack)
        self._join = join
        self._size = models.size(join.model)
        method = f"{attacks.spell(self._attack)} (knows {self._attack.knows.value})"
        if self._attack.knows is Knowledge.NONE:
            self._rehearse()
            return method
        spec = settings.read(join.attack.training.settings)
        if self._attack.poisons:  # a clipped poison would count less
            spec = spec.model_copy(update={"clip": 0.0})
        self._training = local_training(join, spec, self._data, self._alter)
        how = self._training.prepare(join.participant_indices, spec.trainer)
        return f"{method}; {how}"

    def _rehearse(self) -> None:
        """Craft the updates of nobody: what the attack needs must be there, such as a base model.

        Raises:
            FedSiegeError: it is not, or does not fit the model.
        """
        nothing = torch.zeros(self._size)
        self._attack.craft(Broadcast(1, nothing, None, self._join.model, self._join.seed), [])

    def _alter(self, shard: Shard, participant: int) -> Shard:
        """Return what a participant trains on."""
        return self._attack.poison(shard, participant, self._join.seed)

    def expect(self, order: pb.TakePart) -> None:
        """Take note of who else is hostile in a round, and of whom its attack may know."""
        self._order = order

    def observe(self, round_number: int, weights: Floats) -> None:
        """Remember a round, so that it does not matter which worker hosts those who take part."""
        broadcast = self._hear(round_number, weights)
        # One that goes by participants' updates learns nothing where no hostile one takes part.
        learns = self._training is None or len(self._order.hostile_indices) > 0
        if self._attack.remembers and learns:
            self._advance(self._inform(broadcast, []), [])

    def _hear(self, round_number: int, weights: Floats) -> Broadcast:
        """Take note of a round's model; return what any participant sees of the round."""
        model = torch.from_numpy(weights)
        if self._seen is not None and self._seen[0] != round_number:
            self._previous = self._seen[1]
        self._seen = (round_number, model)  # a round told twice is still one round
        return Broadcast(
            round_number=round_number,
            model=model,
            previous=self._previous,
            architecture=self._join.model,
            seed=self._join.seed,
        )

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Craft the updates, with the sample and step counts that the attack claims."""
        broadcast = self._inform(self._hear(round_number, weights), indices)
        crafted: Tensor | None = None
        if self._attack.remembers:
            crafted = self._advance(broadcast, indices)
        elif self._training is not None:  # what all have in common is worked out once
            crafted = self._attack.craft(broadcast, indices)
        for start in range(0, len(indices), _BLOCK):
            some = indices[start : start + _BLOCK]
            if crafted is None:  # fakes may be thousands: a block at a time
                rows = self._attack.craft(broadcast, some)
            else:
                rows = crafted[start : start + _BLOCK]
            yield [
                Update(index, row.contiguous().numpy(), *self._counts(index))
                for index, row in zip(some, rows, strict=True)
            ]

    def _counts(self, index: int) -> tuple[int, int]:
        """Return the sample count and the number of steps that a participant reports."""
        if self._training is not None:
            return self._training.samples(index), self._training.steps(index)
        return self._attack.claim([index])

    def _inform(self, broadcast: Broadcast, indices: Sequence[int]) -> Broadcast:
        """Add what the attack is entitled to know, and nothing else."""
        if self._training is None:
            return broadcast
        hostile = tuple(self._order.hostile_indices) or tuple(indices)
        benign = tuple(self._order.benign_indices)
        factor = self._attack.gradient_factor(broadcast)
        informed = replace(
            broadcast,
            hostile=hostile,
            own=self._train(self._training, broadcast, hostile, factor),
            participants=self._order.num_scheduled,
        )
        if self._attack.knows is Knowledge.FULL:
            sent = self._train(self._training, broadcast, benign)
            rule = self._join.attack.rule
            informed = replace(informed, benign=sent, benign_indices=benign, rule=rule)
        return informed

    def _train(
        self,
        training: LocalTraining,
        broadcast: Broadcast,
        indices: Sequence[int],
        factor: Tensor | None = None,
    ) -> Tensor:
        """Return ``(k, d)``, what training gives these participants."""
        training.load(indices)
        rows = torch.empty(len(indices), self._size)
        blocks = training.updates(broadcast.round_number, broadcast.model, indices, factor)
        end = 0
        for _, deltas in blocks:
            start, end = end, end + len(deltas)
            rows[start:end] = deltas
        return rows

    def _advance(self, broadcast: Broadcast, indices: Sequence[int]) -> Tensor:
        """Craft with memory; a round told twice goes on from where the one before it ended."""
        if broadcast.round_number != self._round:
            self._before, self._round = self._after, broadcast.round_number
        rows, self._after = self._attack.advance(broadcast, indices, self._before)
        return rows
