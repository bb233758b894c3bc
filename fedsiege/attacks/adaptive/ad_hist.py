"""Adaptive history: a random combination of past steps, in disguise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.adaptive.ad_anti import KEPT
from fedsiege.attacks.adaptive.disguise import Disguised
from fedsiege.attacks.base import Broadcast, StatefulAttack, registry
from fedsiege.attacks.vectors import last_step, unit
from fedsiege.rules.state import own
from fedsiege.seeding import generator

#: Steps that are remembered.
WINDOW = 10


@dataclass(frozen=True)
class Step:
    """A global step.

    Attributes:
        round_number: the round that began with it.
        change: ``(d,)`` float32, ``G`` of that round.
    """

    round_number: int
    change: Tensor


@registry.register
@dataclass(frozen=True)
class AdHist(Disguised, StatefulAttack):
    """A random combination of past steps, which holds nothing that training has not done.

    Of the last 10 steps ``G_k = w_k - w_{k-1}``, and with their moving average ``A``, the direction
    of all fakes is::

        v = h - (h . A) A / ||A||^2,    h = sum_k z_k G_k / ||G_k||,
        A = sum_k 0.8^(t-k) G_k

    Every step keeps its ``z_k ~ N(0, 1)``, so that pushes add up from round to round. ``v`` neither
    helps training nor opposes it, which would show. It is sent in the disguise of ``disguise.py``;
    zeros until two steps were seen. Rounds in which none of the fakes was drawn count, too.

    Source: our own.
    """

    name: ClassVar[str] = "ad-hist"
    summary: ClassVar[str] = "adaptive: a random combination of past global steps, disguised"

    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, tuple[Step, ...]]:
        """Return ``(k, d)``, every row another, and the last steps, the oldest first."""
        seen: tuple[Step, ...] = own(self.name, state, tuple) or ()
        if broadcast.previous is not None:
            step = Step(broadcast.round_number, last_step(broadcast).float())
            seen = (*seen, step)[-WINDOW:]
        direction = torch.zeros_like(broadcast.model)
        if len(seen) > 1:
            direction = sideways(broadcast.seed, seen)
        return self.dressed(broadcast, participants, direction), seen


def sideways(seed: int, seen: Sequence[Step]) -> Tensor:
    """Return ``v``, ``(d,)`` float64: a mix of steps, orthogonal to their moving average."""
    mix = torch.zeros(seen[0].change.numel(), dtype=torch.float64)
    average = torch.zeros_like(mix)
    for step in seen:
        change = step.change.double()
        coefficient = generator(seed, "ad-hist mix", step.round_number).standard_normal()
        mix += coefficient * unit(change)
        average = KEPT * average + change
    along = unit(average)
    return mix - torch.dot(mix, along) * along
