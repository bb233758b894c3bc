"""MPAF with the norm of what the federation itself does, so that no norm test sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.attacks.fake.history import last_step
from fedsiege.attacks.fake.mpaf import gap, random_base


@registry.register
@dataclass(frozen=True)
class MpafMatched(Attack):
    """MPAF's direction at the length of the last global step.

    Every fake sends the same update::

        g = c * ||G|| * (w' - w_t) / ||w' - w_t||,    G = w_t - w_{t-1}

    with the random base model ``w'`` of ``mpaf``. In the first round there is no step to match:
    the fakes send zeros. So they do where ``w_t`` has arrived at ``w'``.

    Args:
        c: length relative to the last global step, greater than 0.

    Raises:
        InvalidValue: c is not a finite number greater than 0.

    Source: MPAF of Cao and Gong, CVPR workshops 2022; the matched norm after Xie, Fang and Gong,
    PoisonedFL, CVPR 2025.
    """

    name: ClassVar[str] = "mpaf-matched"
    summary: ClassVar[str] = "mpaf at c times the last global step's norm (first: zeros)"

    c: float = 1.0

    def __post_init__(self) -> None:
        self.require_positive("c")

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        target = gap(broadcast, random_base(broadcast.architecture, broadcast.seed))
        length = self.c * float(last_step(broadcast).norm())
        return (length * unit(target)).float().expand(len(participants), -1)


def unit(vector: Tensor) -> Tensor:
    """Return the vector at length 1; zeros stay zeros."""
    norm = float(vector.norm())
    return vector / norm if norm > 0 else torch.zeros_like(vector)
