"""Sign flip of gradients: train uphill."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.base import Broadcast, PoisoningAttack, registry
from fedsiege.training.base import Shard


@registry.register
@dataclass(frozen=True)
class SignFlipGradient(PoisoningAttack):
    """Local training in which every gradient is multiplied by -1.

    The samples are left as they are. After one step that is ``sign-flip``; after more, each
    gradient is taken where the steps before have climbed to, so the update is no one's opposite.

    Source: the gradient form of Li, Xu, Chen, Giannakis and Ling, RSA, AAAI 2019, section 5, as it
    is in libraries that flip the gradient of each batch, such as Blades.
    """

    name: ClassVar[str] = "sign-flip-gradient"
    summary: ClassVar[str] = "local training uphill: every gradient with the opposite sign"

    def poison(self, shard: Shard, participant: int, seed: int) -> Shard:
        """Return the samples as they are."""
        return shard

    def gradient_factor(self, broadcast: Broadcast) -> Tensor:
        """Return ``(d,)``, -1 for every coordinate."""
        return torch.full_like(broadcast.model, -1.0)
