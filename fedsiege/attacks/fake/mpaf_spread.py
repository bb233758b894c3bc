"""MPAF with fakes that differ from one another, so that no test for duplicates sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fedsiege import models
from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.attacks.fake.mpaf import gap, random_base
from fedsiege.attacks.fake.mpaf_matched import unit
from fedsiege.errors import InvalidValue
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class MpafSpread(Attack):
    """MPAF spread out by base models of their own, by noise, or by both.

    Fake i sends::

        g_i = scale * (w'_i - w_t)
        g_i + noise * ||g_i|| * eps_i / ||eps_i||,    eps_i ~ N(0, I)

    ``w'_i`` is drawn once per run, ``eps_i`` in every round. Without base models of their own
    all have the random base model of ``mpaf``. Base models of their own pull towards their mean,
    which lies closer to 0 than any of them.

    Args:
        scale: lambda, greater than 0.
        own_base: every fake has a base model of its own.
        noise: gamma, 0 or more: length of the noise relative to the update.

    Raises:
        InvalidValue: scale or noise is out of range, or nothing would tell the fakes apart.

    Source: MPAF of Cao and Gong, CVPR workshops 2022; the noise after Xie, Fang and Gong,
    PoisonedFL, CVPR 2025.
    """

    name: ClassVar[str] = "mpaf-spread"
    summary: ClassVar[str] = "mpaf with a base model per fake, with noise, or with both"

    scale: float = 1.0
    own_base: bool = True
    noise: float = 0.0

    def __post_init__(self) -> None:
        self.require_positive("scale")
        self.require_positive("noise", or_zero=True)
        if not self.own_base and not self.noise:
            allowed = "with own_base=false only noise > 0 tells the fakes apart; else use mpaf"
            raise InvalidValue(f"{self.name}:noise", self.noise, allowed)

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row another."""
        if self.own_base:
            bases = own_bases(broadcast.architecture, broadcast.seed, tuple(participants))
        else:
            shared = random_base(broadcast.architecture, broadcast.seed)
            bases = shared.expand(len(participants), -1)
        updates = torch.empty(len(participants), broadcast.model.numel())
        # one by one, since the float64 of all at once would be the largest thing in the worker
        for row, base, participant in zip(updates, bases, participants, strict=True):
            update = self.scale * gap(broadcast, base)
            if self.noise:
                update += self.noise * update.norm() * _direction(broadcast, participant)
            row.copy_(update)
        return updates


# Few, since each is as large as the updates made from it: a worker asks for the same fakes, some at
# a time, round after round.
@lru_cache(maxsize=4)
def own_bases(architecture: str, seed: int, participants: tuple[int, ...]) -> Tensor:
    """Return a random base model for each participant, ``(k, d)``, the same in every round."""
    bases = torch.empty(len(participants), models.size(architecture))
    for row, participant in zip(bases, participants, strict=True):
        purpose = f"mpaf base model of {participant}"
        row.copy_(models.random_weights(architecture, seed, purpose=purpose))
    return bases


def _direction(broadcast: Broadcast, participant: int) -> Tensor:
    """Return ``(d,)`` float64, a random direction of length 1 for one fake in one round."""
    draw = generator(broadcast.seed, "mpaf-spread noise", broadcast.round_number, participant)
    normal = draw.standard_normal(broadcast.model.numel(), dtype=np.float32)
    return unit(torch.from_numpy(normal).to(torch.float64))
