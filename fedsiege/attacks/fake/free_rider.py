"""Free riders: participants that take the model and do not train."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.attacks.vectors import last_step


@registry.register
@dataclass(frozen=True)
class FreeRider(Attack):
    r"""Send an update without training: zeros, or the last global step once more.

    A free rider knows the broadcast model only. It aims at the trained model without work of its
    own, not at damage:

    .. math::

        g = \begin{cases}
            0 & \text{kind=zeros} \\
            w_t - w_{t-1} & \text{kind=stale}
        \end{cases}

    :math:`w_t` is the broadcast model, :math:`w_{t-1}` that of the round before. ``stale`` looks
    like training; in the first round it sends zeros.

    Source:
        Jierui Lin, Min Du and Jian Liu, `Free-riders in Federated Learning: Attacks and Defenses
        <https://arxiv.org/abs/1911.12560>`_, arXiv 2019, section 3; ``stale`` is their delta
        weights attack.
    """

    name: ClassVar[str] = "free-rider"
    summary: ClassVar[str] = "no training: zeros, or the last global step once more"

    kind: Annotated[Literal["zeros", "stale"], "send zeros, or the last global step once more"] = (
        "zeros"
    )

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        step = last_step(broadcast)
        update = torch.zeros_like(step) if self.kind == "zeros" else step
        return update.float().expand(len(participants), -1)
