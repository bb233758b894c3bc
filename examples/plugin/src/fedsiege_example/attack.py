"""Undoing the last round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks import Attack, Broadcast


@dataclass(frozen=True)
class Undo(Attack):
    r"""Send the last step of the global model backwards.

    It needs neither data nor training, only the models that every participant is sent:

    .. math::

        g = -\lambda (w_t - w_{t-1})

    :math:`\lambda` is ``scale``. In the first round, before there is a step, it sends zeros.

    Source:
        An example of FedSiege.
    """

    name: ClassVar[str] = "undo"
    summary: ClassVar[str] = "the last step of the global model, backwards"

    scale: Annotated[float, Gt(0), "strength lambda"] = 1.0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(len(participants), d)``, the same update for each."""
        if broadcast.previous is None:
            return torch.zeros(len(participants), len(broadcast.model))
        step = broadcast.model - broadcast.previous
        return (-self.scale * step).expand(len(participants), -1)
