"""The base of backdoors: the attacker's inputs are classified as its target class."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import MNIST_DOMAIN, Broadcast, PoisoningAttack, Setting
from fedsiege.attacks.data_poisoning.base import (
    Label,
    Share,
    choose,
    count,
    require_classes,
    require_pictures,
)
from fedsiege.inputs import Domain, Inputs
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

    def check(self, setting: Setting) -> None:
        """Raise InvalidValue or UnfitRound if the data set has no such class, or no pictures."""
        super().check(setting)
        require_pictures(self, setting.inputs, self.side)
        require_classes(self, setting.inputs, "target")

    @property
    def side(self) -> int:
        """How many rows and columns a picture must have for the trigger."""
        return 1

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
    def stamp(self, images: Tensor, white: Tensor) -> Tensor:
        """Return the images with the trigger on them; those given stay clean.

        Args:
            images: ``(M, C, H, W)`` float32.
            white: ``(C, 1, 1)``, the value of white in each channel.
        """

    def stamp_of(self, participant: int, images: Tensor, white: Tensor) -> Tensor:
        """Return the images with what an attacker trains on: the trigger, or its part of it."""
        return self.stamp(images, white)

    def poison(
        self, shard: Shard, participant: int, seed: int, domain: Domain = MNIST_DOMAIN
    ) -> Shard:
        """Return the samples, some of them stamped and labelled as the target."""
        chosen = self.poisoned(shard, participant, seed)
        images, labels = shard.images.clone(), shard.labels.clone()
        images[chosen] = self.stamp_of(participant, images[chosen], white_of(domain, images))
        labels[chosen] = self.target
        return Shard(images, labels)

    def probe(
        self, images: Tensor, labels: Tensor, seed: int, domain: Domain = MNIST_DOMAIN
    ) -> tuple[Tensor, Tensor]:
        """Return every input of another class than the target, stamped."""
        others = labels != self.target
        return self.stamp(images[others], white_of(domain, images)), torch.full_like(
            labels[others], self.target
        )


def white_of(domain: Domain, images: Tensor) -> Tensor:
    """Return ``(C, 1, 1)`` or ``(1, 1, 1)``, the value of white, of the type of the images."""
    return torch.tensor(domain.white, dtype=images.dtype, device=images.device).view(-1, 1, 1)


def normalised(pictures: Tensor, domain: Domain) -> Tensor:
    """Return ``(N, C, H, W)`` pictures of -1 black to 1 white in the range of a data set."""
    if (domain.black, domain.white) == (MNIST_DOMAIN.black, MNIST_DOMAIN.white):
        return pictures
    black, white = (
        torch.tensor(bound, dtype=pictures.dtype).view(-1, 1, 1)
        for bound in (domain.black, domain.white)
    )
    return black + (pictures + 1) / 2 * (white - black)


def fitted(pictures: Tensor, inputs: Inputs) -> Tensor:
    """Return ``(N, 1, H, W)`` grey pictures in the size and with the channels of a data set's."""
    channels, height, width = inputs.shape
    if pictures.shape[2:] != (height, width):
        pictures = F.interpolate(pictures, (height, width), mode="bilinear", antialias=True)
    return pictures.expand(-1, channels, -1, -1)
