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
    """MPAF's direction with the traces that training leaves.

    The direction of all fakes is::

        v = w' - w_t

    with the random base model ``w'`` of ``mpaf``, sent in the disguise of ``disguise.py``; zeros in
    the first round.

    Source: our own, after MPAF of Cao and Gong, CVPR workshops 2022.
    """

    name: ClassVar[str] = "ad-mpaf"
    summary: ClassVar[str] = "adaptive: towards one random model, disguised"

    def direction(self, broadcast: Broadcast) -> Tensor:
        """Return ``v``, ``(d,)``."""
        return gap(broadcast, random_base(broadcast.architecture, broadcast.seed))
