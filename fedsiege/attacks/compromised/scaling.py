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
    r"""Send the own honest update, scaled.

    The attackers hold data and know what they would have sent themselves (partial knowledge). They
    aim at a larger part in the aggregate than an honest participant has. Participant :math:`i`
    sends:

    .. math::

        g_i = \text{factor} \cdot u_i

    :math:`u_i` is what it would have sent. The direction is honest, so that tests of directions see
    nothing; the step is too long. Factor 1 is no attack.

    Source:
        The boosting of Arjun Nitin Bhagoji, Supriyo Chakraborty, Prateek Mittal and Seraphin Calo,
        `Analyzing Federated Learning through an Adversarial Lens
        <https://arxiv.org/abs/1811.12470>`_, ICML 2019, section 3, and of Eugene Bagdasaryan,
        Andreas Veit, Yiqing Hua, Deborah Estrin and Vitaly Shmatikov, `How To Backdoor Federated
        Learning <https://arxiv.org/abs/1807.00459>`_, AISTATS 2020, section 3, without their
        poisoned data.
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
