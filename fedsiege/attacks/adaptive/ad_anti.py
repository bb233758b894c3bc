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
    """The opposite of what training does over many rounds.

    With ``G = w_t - w_{t-1}`` the direction of all fakes is::

        v = -A,    A <- 0.8 A + 0.2 G    (A = 0 at the beginning)

    sent in the disguise of ``disguise.py``; zeros in the first round. ``A`` is all that is
    remembered. Rounds in which none of the fakes was drawn count, too.

    Source: our own; ``history`` of Cao and Gong, CVPR workshops 2022, with a memory.
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
