"""Adaptive anti-training: against the way the model has been going, in disguise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.adaptive.disguise import Disguised
from fedsiege.attacks.base import Broadcast, StatefulAttack, registry
from fedsiege.attacks.vectors import last_step
from fedsiege.rules.state import own

#: How much of the moving average is kept in a round.
KEPT = 0.8


@registry.register
@dataclass(frozen=True)
class AdAnti(Disguised, StatefulAttack):
    r"""Go against a moving average of the global steps, in disguise.

    Fake clients know the broadcast model only, and aim at undoing what training does over many
    rounds. The direction of all fakes is:

    .. math::

        v = -A_t, \qquad A_t = 0.8\,A_{t-1} + 0.2\,G_t, \qquad G_t = w_t - w_{t-1}

    :math:`w_t` is the broadcast model, :math:`G_t` the last global step, and :math:`A` begins as 0;
    it is all that is remembered. :math:`v` is sent in the disguise that ``ad-drift`` explains; in
    the first round the fakes send zeros. Rounds in which none of the fakes was drawn count, too.

    Source:
        FedSiege's own: see :doc:`/sentinel`. It is the history attack with a memory, of Xiaoyu Cao
        and Neil Zhenqiang Gong, `MPAF: Model Poisoning Attacks to Federated Learning based on Fake
        Clients <https://arxiv.org/abs/2203.08669>`_, CVPR Workshops 2022, section 5.1.
    """

    name: ClassVar[str] = "ad-anti"
    summary: ClassVar[str] = "adaptive: against a moving average of the global steps, disguised"

    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, Tensor]:
        """Return ``(k, d)``, every row another, and ``A``, ``(d,)``."""
        step = last_step(broadcast)
        remembered = own(self.name, state, Tensor)
        before = torch.zeros_like(step) if remembered is None else remembered
        average = KEPT * before + (1 - KEPT) * step
        return self.dressed(broadcast, participants, -average), average
