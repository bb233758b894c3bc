"""History attack: undo the last step of the global model, many times over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.attacks.vectors import last_step


@registry.register
@dataclass(frozen=True)
class History(Attack):
    r"""Reverse the last global step, scaled.

    Fake clients know the broadcast model only, and aim at undoing what training has reached. Every
    fake sends the same update:

    .. math::

        g = -\text{scale} \cdot (w_t - w_{t-1})

    :math:`w_t` is the broadcast model, :math:`w_{t-1}` that of the round before; scale is the
    paper's :math:`\lambda`. In the first round there is no step to reverse: the fakes send zeros.

    Source:
        Xiaoyu Cao and Neil Zhenqiang Gong, `MPAF: Model Poisoning Attacks to Federated Learning
        based on Fake Clients <https://arxiv.org/abs/2203.08669>`_, CVPR Workshops 2022, section
        5.1, "history attack".
    """

    name: ClassVar[str] = "history"
    summary: ClassVar[str] = "reverses the last global step, scaled"

    scale: Annotated[float, Gt(0), "factor on the reversed step"] = 1.0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        update = -self.scale * last_step(broadcast)
        return update.float().expand(len(participants), -1)
