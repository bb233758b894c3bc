"""Adaptive drift: a random direction, the same for ever, in disguise."""

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
    """Small pushes that add up, whatever the federation does.

    The direction is drawn once per run for all fakes::

        v ~ N(0, I)

    and sent in the disguise of ``disguise.py``; in the first round: zeros.

    Args:
        norm: length of an update relative to the last global step, greater than 0.
        noise: gamma, each fake's own noise of the round relative to the direction, greater than 0.
        spread: the same that stays from round to round, 0 or more, see ``Disguised``.
        groups: among how many groups of fakes it differs, 0 or more, see ``Disguised``.

    Raises:
        InvalidValue: norm or noise is not a finite number greater than 0, spread is negative, or
            groups is no whole number or negative.

    Source: our own.
    """

    name: ClassVar[str] = "ad-drift"
    summary: ClassVar[str] = "adaptive: one random direction for ever, in disguise (first: zeros)"

    def direction(self, broadcast: Broadcast) -> Tensor:
        """Return ``v``, ``(d,)`` float64."""
        draw = generator(broadcast.seed, "ad-drift direction")
        return torch.from_numpy(draw.standard_normal(broadcast.model.numel()))
