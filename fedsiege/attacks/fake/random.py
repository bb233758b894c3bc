"""Random updates: the weakest of the fake-client attacks, a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class Random(Attack):
    """Gaussian noise instead of an update.

    Every fake draws its own in every round::

        g_i = scale * eps_i,    eps_i ~ N(0, I)

    Source: Cao and Gong, MPAF, CVPR workshops 2022, section 5.1, "random attack"; scale is lambda.
    """

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = "Gaussian noise"

    scale: Annotated[float, Gt(0), "standard deviation of each coordinate"] = 1.0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row drawn afresh."""
        updates = torch.empty(len(participants), broadcast.model.numel())
        for row, participant in zip(updates, participants, strict=True):
            draw = generator(broadcast.seed, "random attack", broadcast.round_number, participant)
            eps = torch.from_numpy(draw.standard_normal(row.numel(), dtype=np.float32))
            row.copy_(self.scale * eps.to(torch.float64))
        return updates
