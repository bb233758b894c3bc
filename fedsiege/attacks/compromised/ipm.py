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
    """A multiple of the benign mean mu with the opposite sign.

    All participants send the same::

        g = -eps * mu

    Small eps (0.1 to 0.5) hides among benign updates around 0 and defeats rules that choose by
    distance; a mean of m benign and f hostile updates changes its sign only for ``eps > m / f``.
    The literature has 0.1 to 2 against robust rules; the default is ByzFL's.

    Raises:
        UnfitRound: (in a round) no usable update is there to take the mean of.

    Source: Xie, Koyejo and Gupta, Fall of Empires, UAI 2019, section 4.
    """

    name: ClassVar[str] = "ipm"
    summary: ClassVar[str] = "benign mean times -eps (Inner Product Manipulation, Fall of Empires)"

    eps: Annotated[float, Gt(0), "factor of the reversed mean"] = 2.0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        update = -self.eps * mean(usable_sample(self, broadcast))
        return same_row(update, len(participants))
