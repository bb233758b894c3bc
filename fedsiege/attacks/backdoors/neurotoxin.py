"""Neurotoxin: a backdoor in the weights that honest training leaves alone, so that it stays."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.backdoors.badnets import BadNets
from fedsiege.attacks.base import Broadcast, registry
from fedsiege.attacks.data_poisoning.base import Share


@registry.register
@dataclass(frozen=True)
class Neurotoxin(BadNets):
    r"""Train the backdoor of ``badnets`` in the coordinates that benign updates move least.

    The attackers hold data and know the last two broadcast models; of other updates they know
    nothing (partial knowledge). They aim at a backdoor that stays after they have left, since
    honest training does not touch its weights. Every gradient of local training is multiplied by a
    mask:

    .. math::

        m_j = \begin{cases}
            1 & j \in \operatorname{smallest}_{\lfloor \text{keep} \cdot d \rfloor}
                |w_t - w_{t-1}| \\
            0 & \text{otherwise}
        \end{cases}

    :math:`w_t` is the broadcast model of :math:`d` coordinates, :math:`w_{t-1}` that of the round
    before. The last global step stands for the benign gradient; its *smallest* coordinates in
    absolute value are kept, over the whole model, and of equal ones the first. Without a last step,
    in the first round or when the model stood still, there is no mask. The paper's :math:`k` % are
    the coordinates that are not kept.

    Source:
        Zhengming Zhang, Ashwinee Panda, Linyue Song, Yaoqing Yang, Michael W. Mahoney, Joseph E.
        Gonzalez, Kannan Ramchandran and Prateek Mittal, `Neurotoxin: Durable Backdoors in Federated
        Learning <https://arxiv.org/abs/2206.10341>`_, ICML 2022, algorithm 1.
    """

    name: ClassVar[str] = "neurotoxin"
    summary: ClassVar[str] = (
        "badnets, trained in the coordinates that the last global step moved least"
    )

    keep: Annotated[Share, "share of the coordinates that are trained, those that moved least"] = (
        0.95
    )

    def gradient_factor(self, broadcast: Broadcast) -> Tensor | None:
        """Return the mask, ``(d,)`` float32 of 0 and 1, None where there is no last step."""
        if broadcast.previous is None or broadcast.model.equal(broadcast.previous):
            return None
        step = (broadcast.model - broadcast.previous).abs()
        smallest = step.argsort(stable=True)[: math.floor(self.keep * len(step))]
        return torch.zeros_like(step).index_fill_(0, smallest, 1)
