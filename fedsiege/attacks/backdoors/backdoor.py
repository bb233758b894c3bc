"""The base of backdoors: the attacker's inputs are classified as its target class."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, PoisoningAttack
from fedsiege.attacks.data_poisoning.base import Label, Share, choose, count
from fedsiege.training.base import Shard


@dataclass(frozen=True)
class BackdoorAttack(PoisoningAttack):
    """Base of the backdoors: training on some poisoned samples, the update made longer if wanted.

    ``g = boost * (X_b - w_t)``, with X_b the weights after training on the poisoned samples. The
    classes of other inputs should not change, or the attack would be noticed.
    """

    target: Annotated[Label, "class that the attacker wants"] = 2
    concentration: Annotated[
        Share,
        "share of an attacker's samples that are poisoned; rounded, at least one",
    ] = 0.5
    boost: Annotated[float, Gt(0), "factor on the update before it is sent"] = 1.0

    @property
    def targeted(self) -> bool:
        """True: it wants the target class."""
        return True

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return what training on the poisoned samples gave, boosted."""
        return super().craft(broadcast, participants) * self.boost

    def poisoned(self, shard: Shard, participant: int, seed: int) -> Tensor:
        """Return the positions of the samples to poison, ``(k,)`` int64."""
        number = count(len(shard), self.concentration)
        return choose(torch.arange(len(shard)), number, seed, participant)


@dataclass(frozen=True)
class TriggerAttack(BackdoorAttack):
    """Base of the pattern-key backdoors: a pattern in the picture is the trigger."""

    @abc.abstractmethod
    def stamp(self, images: Tensor) -> Tensor:
        """Return ``(M, 1, 28, 28)`` images with the trigger on them; those given stay clean."""

    def stamp_of(self, participant: int, images: Tensor) -> Tensor:
        """Return the images with what an attacker trains on: the trigger, or its part of it."""
        return self.stamp(images)

    def poison(self, shard: Shard, participant: int, seed: int) -> Shard:
        """Return the samples, some of them stamped and labelled as the target."""
        chosen = self.poisoned(shard, participant, seed)
        images, labels = shard.images.clone(), shard.labels.clone()
        images[chosen] = self.stamp_of(participant, images[chosen])
        labels[chosen] = self.target
        return Shard(images, labels)

    def probe(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return every input of another class than the target, stamped."""
        others = labels != self.target
        return self.stamp(images[others]), torch.full_like(labels[others], self.target)
