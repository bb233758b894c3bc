"""PoisonedFL: a push of every coordinate the same way in every round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, StatefulAttack, registry
from fedsiege.attacks.vectors import last_step, unit
from fedsiege.rules.state import own
from fedsiege.seeding import generator

#: Rounds between two looks at whether the model moves along.
PERIOD = 50
#: By how much the strength falls when it does not, and below what it never falls.
_DECAY, _LEAST = 0.7, 0.5
#: The 99 % quantile of the standard normal distribution.
_Z99 = 2.3263478740408408


@dataclass(frozen=True)
class Campaign:
    """What the fakes remember.

    Attributes:
        last: ``(d,)`` their last update, without noise.
        strength: c as it stands.
        anchor: ``(d,)`` the global model at the last look.
        anchor_round: the round of that look.
    """

    last: Tensor
    strength: float
    anchor: Tensor
    anchor_round: int


@registry.register
@dataclass(frozen=True)
class PoisonedFL(StatefulAttack):
    r"""Push every coordinate the same way in every round, at the length that training has.

    Fake clients know the broadcast model only. They aim at a model that is wrong on all inputs:
    their pushes add up over the rounds, while those of honest training cancel. Every fake sends the
    same update:

    .. math::

        g = c \lVert G_t \rVert \, v \odot s, \qquad
        v = \operatorname{unit}\!\left( \left| G_t - \frac{\lVert G_t \rVert}{\lVert M \rVert} M
            \right| \right), \qquad G_t = w_t - w_{t-1}

    The signs :math:`s \in \{-1, 1\}^d` are drawn once per run. :math:`w_t` is the broadcast model,
    :math:`G_t` the last global step, and :math:`M` the fakes' own last update; where none of the
    fakes was drawn, what they would have sent. Absolute values and the product :math:`\odot` are
    taken in each coordinate, and :math:`\operatorname{unit}` brings a vector to length 1. While
    :math:`M = 0`, its term is left out. In the first round the fakes send zeros, and in every round
    in which the model stood still.

    Every 50 rounds the fakes test whether the model follows:

    .. math::

        k = \left| \{ j : \operatorname{sign}(w_t - w_{t-50})_j = s_j \} \right|, \qquad
        c \leftarrow 0.7\,c \quad \text{if } k < q_{0.99} \text{ and } 0.7\,c \ge 0.5

    :math:`q_{0.99}` is the 99 % quantile of :math:`\operatorname{Binomial}(d, 1/2)`: below it the
    defence holds. Where a coordinate has not moved, the sign of :math:`w_t` counts.

    In the authors' code the trimmed mean and the norm bound use facts that no server has; the rules
    here do not.

    Source:
        Yueqi Xie, Minghong Fang and Neil Zhenqiang Gong, `Model Poisoning Attacks to Federated
        Learning via Multi-Round Consistency <https://arxiv.org/abs/2404.15611>`_ (PoisonedFL), CVPR
        2025, section 4, and the authors' `code <https://github.com/xyq7/PoisonedFL>`__.
    """

    name: ClassVar[str] = "poisonedfl"
    summary: ClassVar[str] = "all fake clients push along the same random signs in every round"

    c: Annotated[
        float, Gt(0), "initial length of an update, as a multiple of the last global step"
    ] = 8.0

    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, Campaign]:
        """Return ``(k, d)``, one row in memory, and what to remember."""
        campaign = self._look(broadcast, own(self.name, state, Campaign))
        step = last_step(broadcast)
        length = float(step.norm())
        before = float(campaign.last.norm())
        rest = step if before == 0 else step - campaign.last * (length / before)
        signs = _signs(broadcast.seed, step.numel())
        update = campaign.strength * length * unit(rest.abs()) * signs
        remembered = Campaign(update, campaign.strength, campaign.anchor, campaign.anchor_round)
        return self._rows(broadcast, participants, update), remembered

    def _look(self, broadcast: Broadcast, campaign: Campaign | None) -> Campaign:
        """Return the campaign as it stands, weaker if the last ``PERIOD`` rounds had no effect."""
        model = broadcast.model.double()
        if campaign is None:
            return Campaign(torch.zeros_like(model), self.c, model, broadcast.round_number)
        if broadcast.round_number - campaign.anchor_round < PERIOD:
            return campaign
        strength = campaign.strength
        moved = model - campaign.anchor
        direction = torch.where(moved == 0, model, moved).sign()
        along = int((direction == _signs(broadcast.seed, model.numel())).sum())
        if along < quantile(model.numel()) and _DECAY * strength >= _LEAST:
            strength *= _DECAY
        return Campaign(campaign.last, strength, model, broadcast.round_number)

    def _rows(self, broadcast: Broadcast, participants: Sequence[int], update: Tensor) -> Tensor:
        return update.float().expand(len(participants), -1)


@registry.register
@dataclass(frozen=True)
class PoisonedFLNoise(PoisonedFL):
    r"""Send PoisonedFL with noise of each fake's own, so that no two updates are duplicates.

    Fake clients know the broadcast model only, and aim at a model that is wrong on all inputs,
    unseen by a test for duplicates. Fake :math:`i` sends:

    .. math::

        g_i = g + \text{noise} \cdot c \lVert G_t \rVert \,
            \frac{\varepsilon_i \odot s}{\lVert \varepsilon_i \odot s \rVert},
        \qquad \varepsilon_i \sim N(0, I)

    :math:`g`, :math:`c`, :math:`G_t` and the signs :math:`s` are those of ``poisonedfl``;
    :math:`\varepsilon_i` is drawn in every round. The fakes' last update :math:`M` is the one
    without the noise, which over many fakes is their mean: so it does not matter how they are split
    over workers.

    Source:
        Yueqi Xie, Minghong Fang and Neil Zhenqiang Gong, `Model Poisoning Attacks to Federated
        Learning via Multi-Round Consistency <https://arxiv.org/abs/2404.15611>`_ (PoisonedFL), CVPR
        2025, and the authors' `code <https://github.com/xyq7/PoisonedFL>`__.
    """

    name: ClassVar[str] = "poisonedfl-noise"
    summary: ClassVar[str] = "poisonedfl with noise of each fake's own"

    noise: Annotated[
        float, Gt(0), "length of each fake's own noise, as a multiple of its update"
    ] = 1.2

    def _rows(self, broadcast: Broadcast, participants: Sequence[int], update: Tensor) -> Tensor:
        rows = update.float().repeat(len(participants), 1)
        size = self.noise * float(update.norm())
        if size == 0:
            return rows
        signs = _signs(broadcast.seed, update.numel())
        for row, participant in zip(rows, participants, strict=True):
            draw = generator(
                broadcast.seed, "poisonedfl noise", broadcast.round_number, participant
            )
            noise = torch.from_numpy(draw.standard_normal(update.numel()))
            row.add_((size * unit(noise * signs)).float())
        return rows


def quantile(d: int) -> int:
    """Return the 99 % quantile of Binomial(d, 1/2): the least k with P(X <= k) >= 0.99.

    Exact up to d = 1000; above, the normal approximation with its correction for whole numbers,
    which is within 1 of it.

    Args:
        d: 1 or more.
    """
    if d > 1000:
        return math.ceil(d / 2 + _Z99 * math.sqrt(d) / 2 - 0.5)
    total, term = 0, 1
    for k in range(d + 1):
        total += term
        if 100 * total >= 99 << d:
            return k
        term = term * (d - k) // (k + 1)
    raise AssertionError("probabilities add up to 1")


def _signs(seed: int, d: int) -> Tensor:
    """Return ``s``, ``(d,)`` float64 of -1 and 1, the same in every round of a run."""
    draw = generator(seed, "poisonedfl signs").integers(0, 2, d, dtype=np.int8)
    return torch.from_numpy(draw).double() * 2 - 1
