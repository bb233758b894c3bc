"""Adaptive drift: one random direction for the whole run, in disguise."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.adaptive.disguise import Directed
from fedsiege.attacks.base import Broadcast, registry
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class AdDrift(Directed):
    """Small pushes in one direction, which add up.

    The direction is drawn once per run for all fakes::

        v ~ N(0, I)

    and sent in the disguise of ``disguise.py``; zeros in the first round.

    Source: our own.
    """

    name: ClassVar[str] = "ad-drift"
    summary: ClassVar[str] = "adaptive: one random direction for the whole run, disguised"

    def direction(self, broadcast: Broadcast) -> Tensor:
        """Return ``v``, ``(d,)`` float64."""
        draw = generator(broadcast.seed, "ad-drift direction")
        return torch.from_numpy(draw.standard_normal(broadcast.model.numel()))
