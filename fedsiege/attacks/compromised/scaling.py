"""Scaling: an honest update, sent many times over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Attack, Broadcast, Knowledge, registry


@registry.register
@dataclass(frozen=True)
class Scaling(Attack):
    """The update that a participant would have sent, scaled.

    Participant i sends::

        g_i = factor * own_i

    The direction is honest, so that tests of directions see nothing; the step is too long. Factor 1
    is no attack.

    Source: the boosting of Bhagoji, Chakraborty, Mittal and Calo, ICML 2019, section 3, and of
    Bagdasaryan et al., AISTATS 2020, section 3, without their poisoned data.
    """

    name: ClassVar[str] = "scaling"
    summary: ClassVar[str] = "own honest update, scaled"

    factor: Annotated[float, Gt(0), "factor on the update"] = 10.0

    @property
    def knows(self) -> Knowledge:
        """The updates that its participants would have sent."""
        return Knowledge.PARTIAL

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``."""
        return (self.factor * broadcast.own_of(participants).double()).float()
