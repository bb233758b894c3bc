"""Hostile participants: they craft their updates from what their attack is allowed to know.

What an attack knows is its ``knows``. With ``Knowledge.NONE`` its participants are fake: they hold
no data and see only the broadcast model. Otherwise they are compromised: they hold data and train.
With ``Knowledge.FULL`` the attack also gets the updates that the benign participants will send.
These are computed by training the benign participants here once more, which gives the same result
in every process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fedsiege import attacks, inputs, models, privacy
from fedsiege.attacks import Attack, Broadcast, Knowledge
from fedsiege.inputs import Domain
from fedsiege.services.rpc import settings
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.worker.submitting import Update
from fedsiege.services.worker.training import local_training
from fedsiege.services.worker.worker import HostedParticipants
from fedsiege.training.base import Shard
from fedsiege.training.hosted import LocalTraining
from fedsiege.v1 import simulator_pb2 as pb

#: Updates that are crafted and then submitted together.
_BLOCK = 64


class HostileParticipants(HostedParticipants):
    """The hostile participants of one worker.

    Args:
        data: the folder of the data sets; used only by attacks whose participants hold data.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._size = 0
        self._seen: tuple[int, Tensor] | None = None
        self._previous: Tensor | None = None
        self._round = 0
        self._state_before: object | None = None
        self._state_after: object | None = None
        self._training: LocalTraining | None = None
        self._protects = False
        self._order = pb.TakePart()

    @property
    def size(self) -> int:
        """Number of parameters of the model; known after ``prepare``."""
        return self._size

    def prepare(self, join: pb.Join) -> str:
        """Read the attack; prepare training unless it knows the broadcast model only.

        Args:
            join: the assignment.

        Returns:
            The attack, what it knows and how it trains, to be shown.

        Raises:
            FedSiegeError: the attack, the model or the data cannot be used.
        """
        torch.set_num_threads(1)
        self._attack: Attack = attacks.parse(join.attack.attack)
        self._join = join
        kind = inputs.parse(join.inputs) if join.inputs else inputs.MNIST_LIKE
        self._classifier = models.Classifier(join.model, kind)
        self._size = models.size(self._classifier)
        method = f"{attacks.spell(self._attack)} (knows {self._attack.knows.value})"
        if self._attack.knows is Knowledge.NONE:
            self._check_attack()
            return method
        spec = settings.read(join.attack.training.settings)
        if self._attack.poisons:  # clipping would weaken what the poisoned data teach
            spec = spec.model_copy(update={"clip": 0.0})
        mechanism = privacy.parse(spec.privacy)
        self._protects = mechanism is not None and mechanism.hostile
        self._training = local_training(join, spec, self._data, self._poison)
        how = self._training.prepare(join.participant_indices, spec.trainer)
        return f"{method}; {how}"

    def _check_attack(self) -> None:
        """Craft no updates, to find out now whether all that the attack needs is there.

        Raises:
            FedSiegeError: a file, such as a base model, is missing or does not fit the model.
        """
        nothing = torch.zeros(self._size)
        self._attack.craft(Broadcast(1, nothing, None, self._classifier, self._join.seed), [])

    def _poison(self, shard: Shard, participant: int, domain: Domain) -> Shard:
        """Return the samples that a participant trains on, as the attack poisons them."""
        return self._attack.poison(shard, participant, self._join.seed, domain)

    def expect(self, order: pb.TakePart) -> None:
        """Set the order of the next round, which lists its hostile and benign participants."""
        self._order = order

    def observe(self, round_number: int, weights: Floats) -> None:
        """Take in a round's model although no participant of this worker is scheduled.

        The state of the attack then does not depend on which worker hosts the scheduled ones.
        """
        broadcast = self._receive(round_number, weights)
        # An attack that uses updates learns nothing from a round without hostile participants.
        learns = self._training is None or len(self._order.hostile_indices) > 0
        if self._attack.remembers and learns:
            self._advance(self._add_knowledge(broadcast, []), [])

    def _receive(self, round_number: int, weights: Floats) -> Broadcast:
        """Store a round's model; return what every participant knows about the round."""
        model = torch.from_numpy(weights)
        if self._seen is not None and self._seen[0] != round_number:
            self._previous = self._seen[1]
        self._seen = (round_number, model)  # a repeated round counts once
        return Broadcast(
            round_number=round_number,
            model=model,
            previous=self._previous,
            architecture=self._classifier,
            seed=self._join.seed,
        )

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Yield crafted updates in blocks, with the sample and step counts that the attack claims.

        Args:
            round_number: the round, from 1.
            weights: ``(d,)`` the global model; it is not changed.
            indices: the participants, ascending.
        """
        broadcast = self._add_knowledge(self._receive(round_number, weights), indices)
        crafted: Tensor | None = None
        if self._attack.remembers:
            crafted = self._advance(broadcast, indices)
        elif self._training is not None:  # in one call, which trains each participant once
            crafted = self._attack.craft(broadcast, indices)
        for start in range(0, len(indices), _BLOCK):
            some = indices[start : start + _BLOCK]
            if crafted is None:  # fakes can be thousands: one block at a time
                rows = self._attack.craft(broadcast, some)
            else:
                rows = crafted[start : start + _BLOCK]
            yield [
                Update(index, row.contiguous().numpy(), *self._counts(index, round_number))
                for index, row in zip(some, rows, strict=True)
            ]

    def _counts(self, index: int, round_number: int) -> tuple[int, int]:
        """Return the sample count and the number of steps that a participant reports."""
        if self._training is not None:
            return self._training.samples(index), self._training.steps(index, round_number)
        return self._attack.claim([index])

    def _add_knowledge(self, broadcast: Broadcast, indices: Sequence[int]) -> Broadcast:
        """Return the broadcast with everything that the attack is allowed to know, and no more."""
        if self._training is None:
            return broadcast
        hostile = tuple(self._order.hostile_indices) or tuple(indices)
        benign = tuple(self._order.benign_indices)
        factor = self._attack.gradient_factor(broadcast)
        informed = replace(
            broadcast,
            hostile=hostile,
            own=self._train(self._training, broadcast, hostile, factor, protected=self._protects),
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
        protected: bool = True,
    ) -> Tensor:
        """Return the updates of ``k`` participants after local training, ``(k, d)``.

        Args:
            training: the local training.
            broadcast: the round and its model.
            indices: the participants.
            factor: ``(d,)`` factors of the gradient; None for 1.
            protected: whether they protect their updates, as benign participants do.
        """
        training.load(indices)
        rows = torch.empty(len(indices), self._size)
        blocks = training.updates(
            broadcast.round_number, broadcast.model, indices, factor, protected=protected
        )
        end = 0
        for _, deltas in blocks:
            start, end = end, end + len(deltas)
            rows[start:end] = deltas
        return rows

    def _advance(self, broadcast: Broadcast, indices: Sequence[int]) -> Tensor:
        """Craft with the state of the attack; a repeated round starts from the same state again."""
        if broadcast.round_number != self._round:
            self._state_before, self._round = self._state_after, broadcast.round_number
        rows, self._state_after = self._attack.advance(broadcast, indices, self._state_before)
        return rows
