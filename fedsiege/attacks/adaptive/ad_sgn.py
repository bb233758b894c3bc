"""Adaptive signs: the last step with fixed random signs, in disguise."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fedsiege import models
from fedsiege.attacks.adaptive.disguise import Directed, weight_layers
from fedsiege.attacks.base import Broadcast, registry
from fedsiege.attacks.vectors import last_step
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class AdSgn(Directed):
    r"""Send the last global step with fixed random signs, in disguise.

    Fake clients know the broadcast model only, and aim at pushes that add up over the rounds, as
    those of ``poisonedfl`` do. The direction of all fakes is:

    .. math::

        v = s \odot |G_t|, \qquad G_t = w_t - w_{t-1}

    :math:`w_t` is the broadcast model and :math:`G_t` the last global step; the absolute value and
    the product :math:`\odot` are taken in each coordinate. The signs :math:`s \in \{-1, 1\}^d` are
    drawn once per run. Within a weight matrix they are those of a row times those of a column: with
    signs drawn one by one, :math:`v` would be of full rank, and making it low would undo them. It
    is sent in the disguise that ``ad-drift`` explains; in the first round the fakes send zeros.

    Source:
        FedSiege's own: see :doc:`/sentinel`. It is after Yueqi Xie, Minghong Fang and Neil
        Zhenqiang Gong, `Model Poisoning Attacks to Federated Learning via Multi-Round Consistency
        <https://arxiv.org/abs/2404.15611>`_ (PoisonedFL), CVPR 2025, section 4.
    """

    name: ClassVar[str] = "ad-sgn"
    summary: ClassVar[str] = "adaptive: the last global step with fixed random signs, disguised"

    def direction(self, broadcast: Broadcast) -> Tensor:
        """Return ``v``, ``(d,)`` float64."""
        signs = low_rank_signs(broadcast.architecture, broadcast.seed)
        return signs * last_step(broadcast).abs()


def low_rank_signs(architecture: models.Named, seed: int) -> Tensor:
    """Return ``s``, ``(d,)`` float64 of -1 and 1, of rank one in every weight matrix.

    Elements that are in no weight matrix have signs of their own.
    """
    draw = generator(seed, "ad-sgn signs")

    def drawn(count: int) -> Tensor:
        return torch.from_numpy(draw.integers(0, 2, count, dtype=np.int8)).double() * 2 - 1

    signs = drawn(models.size(architecture))
    for layer in weight_layers(architecture):
        matrix = layer.matrix(signs)
        matrix.copy_(torch.outer(*(drawn(side) for side in matrix.shape)))
    return signs
