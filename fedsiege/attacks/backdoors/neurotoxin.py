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
    """The backdoor of ``badnets``, trained in the coordinates that benign updates move least.

    Every gradient of local training is multiplied by a mask: 1 in the ``floor(keep * d)``
    coordinates with the smallest ``|w_t - w_{t-1}|``, the last global step standing for the benign
    gradient, 0 in the others; of equal ones the first are kept. Without a last step, in the first
    round or when the model stood still, there is no mask. The paper's k % are the coordinates that
    are not kept.

    Source: Zhang et al., Neurotoxin: durable backdoors in federated learning, ICML 2022, algorithm
    1. It matters that the *smallest* in absolute value are kept, over the whole model.
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
