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
    r"""Send Gaussian noise instead of an update.

    Fake clients know the broadcast model only, and aim at a model that is wrong on all inputs; this
    is the weakest way. Every fake draws its own noise in every round:

    .. math::

        g_i = \text{scale} \cdot \varepsilon_i, \qquad \varepsilon_i \sim N(0, I)

    scale is the paper's :math:`\lambda`, the standard deviation of each coordinate.

    Source:
        Xiaoyu Cao and Neil Zhenqiang Gong, `MPAF: Model Poisoning Attacks to Federated Learning
        based on Fake Clients <https://arxiv.org/abs/2203.08669>`_, CVPR Workshops 2022, section
        5.1, "random attack".
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
