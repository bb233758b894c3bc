"""Clipping each update to a norm."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor

from fedsiege.numerics.distances import distances_to
from fedsiege.rules.context import RoundContext
from fedsiege.rules.pre.base import Mixed, PreAggregator, Scaled, registry


@registry.register
@dataclass(frozen=True)
class Clipping(PreAggregator):
    r"""Clips each update to a norm.

    .. math::
        g_i \leftarrow g_i \min\left( 1, \frac{C}{\lVert g_i \rVert} \right)

    where C is the parameter ``bound``; without it, the median norm of the round. No update is
    longer than C afterwards. There is no condition on n. Cost: :math:`O(n d)`.

    Source:
        Ziteng Sun, Peter Kairouz, Ananda Theertha Suresh, H. Brendan McMahan. `Can You Really
        Backdoor Federated Learning? <https://arxiv.org/abs/1911.07963>`_ 2019, section 4, where the
        mean follows: that is the rule ``norm-clipping``.
    """

    name: ClassVar[str] = "clipping"
    summary: ClassVar[str] = "clips each update to a bound or to the median norm"

    bound: Annotated[
        float | None, Gt(0), "largest L2 norm of an update; None for the median norm of the round"
    ] = None

    def transform(self, updates: Tensor, context: RoundContext) -> Mixed:
        """Clip the updates; the context is not used."""
        norms = distances_to(updates)
        bound = self.bound or float(norms.quantile(0.5))
        return Scaled.to(updates, norms, bound)
