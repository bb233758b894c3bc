"""Inner product manipulation (IPM): turn the aggregate against the direction of descent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, registry
from fedsiege.attacks.compromised.sample import mean, same_row, usable_sample


@registry.register
@dataclass(frozen=True)
class Ipm(CompromisedAttack):
    r"""Send a multiple of the benign mean with the opposite sign.

    The attackers hold data. With partial knowledge they go by what they would have sent themselves,
    with full knowledge by the benign updates. They aim at an aggregate whose inner product with the
    direction of descent is negative. All of them send the same:

    .. math::

        g = -\text{eps} \cdot \mu

    :math:`\mu` is the mean of the sample. Small eps (0.1 to 0.5) hides among benign updates around
    0 and defeats rules that choose by distance. A mean of :math:`m` benign and :math:`f` hostile
    updates changes its sign only for :math:`\text{eps} > m / f`. The literature has 0.1 to 2
    against robust rules; the default is ByzFL's.

    Raises:
        UnfitRound: (in a round) no usable update is there to take the mean of.

    Source:
        Cong Xie, Oluwasanmi Koyejo and Indranil Gupta, `Fall of Empires: Breaking
        Byzantine-tolerant SGD by Inner Product Manipulation <https://arxiv.org/abs/1903.03936>`_,
        UAI 2019, section 4.
    """

    name: ClassVar[str] = "ipm"
    summary: ClassVar[str] = "benign mean times -eps (Inner Product Manipulation, Fall of Empires)"

    eps: Annotated[float, Gt(0), "factor of the reversed mean"] = 2.0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        update = -self.eps * mean(usable_sample(self, broadcast))
        return same_row(update, len(participants))
