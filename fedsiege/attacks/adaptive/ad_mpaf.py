"""Adaptive MPAF: towards a random model, in disguise."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.attacks.adaptive.disguise import Directed
from fedsiege.attacks.base import Broadcast, registry
from fedsiege.attacks.fake.mpaf import gap, random_base


@registry.register
@dataclass(frozen=True)
class AdMpaf(Directed):
    """Pull towards one random model as MPAF does, with the traces that training leaves.

    Fake clients know the broadcast model only, and aim at a model that is as wrong as the base
    model. The direction of all fakes is:

    .. math::

        v = w' - w_t

    :math:`w_t` is the broadcast model and :math:`w'` the random base model of ``mpaf``. :math:`v`
    is sent in the disguise that ``ad-drift`` explains; in the first round the fakes send zeros.

    Source:
        FedSiege's own: see :doc:`/sentinel`. The direction is that of Xiaoyu Cao and Neil Zhenqiang
        Gong, `MPAF: Model Poisoning Attacks to Federated Learning based on Fake Clients
        <https://arxiv.org/abs/2203.08669>`_, CVPR Workshops 2022, section 4.
    """

    name: ClassVar[str] = "ad-mpaf"
    summary: ClassVar[str] = "adaptive: towards one random model, disguised"

    def direction(self, broadcast: Broadcast) -> Tensor:
        """Return ``v``, ``(d,)``."""
        return gap(broadcast, random_base(broadcast.architecture, broadcast.seed))
