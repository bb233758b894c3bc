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
    r"""Send a random combination of past global steps, in disguise.

    Fake clients know the broadcast model only. They aim at leading the model astray with nothing
    that training has not done itself. Of the last 10 global steps :math:`G_k = w_k - w_{k-1}`,
    where :math:`w_k` is the model that was broadcast in round :math:`k`, and with their moving
    average :math:`A`, the direction of all fakes is:

    .. math::

        v = h - \frac{h \cdot A}{\lVert A \rVert^2} A, \qquad
        h = \sum_{k=t-9}^{t} z_k \frac{G_k}{\lVert G_k \rVert}, \qquad
        A = \sum_{k=t-9}^{t} 0.8^{\,t-k} G_k

    Every step keeps its :math:`z_k \sim N(0, 1)`, so that pushes add up from round to round.
    :math:`v` neither helps training nor opposes it, which would show: it is orthogonal to
    :math:`A`. It is sent in the disguise that ``ad-drift`` explains; the fakes send zeros until
    they have seen two steps. Rounds in which none of the fakes was drawn count, too.

    Source:
        FedSiege's own: see :doc:`/sentinel`.
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
