"""Norm clipping, also called NormBound."""

import statistics
import sys
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.distances import norm_of
from fedsiege.numerics.matrix import rows_of
from fedsiege.rules.base import Aggregation, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.streaming import StreamingRule


@registry.register
@dataclass(frozen=True)
class NormClipping(StreamingRule):
    r"""The mean of the updates, each clipped to a norm.

    .. math::
        \frac{1}{n} \sum_{i=1}^n g_i \min\left( 1, \frac{C}{\lVert g_i \rVert} \right)

    where C is the parameter ``bound``; without it, the median norm of the round. The paper's bound
    is a given number. No update counts for more than its direction and C.

    The norm is that of the whole update. Clipping each layer to C would let :math:`\sqrt{L}\, C`
    through, L being the number of layers. There is no condition on n. Cost: :math:`O(n d)`; with a
    given bound the updates can be taken one by one, without the matrix.

    Source:
        Ziteng Sun, Peter Kairouz, Ananda Theertha Suresh, H. Brendan McMahan. `Can You Really
        Backdoor Federated Learning? <https://arxiv.org/abs/1911.07963>`_ 2019, section 4, without
        noise. It is also called NormBound.
    """

    name: ClassVar[str] = "norm-clipping"
    summary: ClassVar[str] = "mean of the updates, each clipped to a bound or to the median norm"

    bound: Annotated[
        float | None,
        Gt(0),
        "largest L2 norm that counts in full; None for the median norm of the round, which "
        "needs all updates at once",
    ] = None

    @property
    def streams(self) -> bool:
        """Whether the bound is fixed, so that each update can be clipped as it arrives."""
        return self.bound is not None

    def weight_of(self, norm: float, num_samples: int) -> float:
        """Return ``min(1, C / norm)``; without a fixed bound this raises UnfitRound."""
        if self.bound is None:
            raise UnfitRound(f"{self.name} without a bound must see all updates of the round first")
        return 1.0 if norm <= self.bound else self.bound / norm

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, the context is not used."""
        if self.bound is None:
            median = statistics.median(norm_of(row) for row in rows_of(updates))
            # At a median of 0 most updates are zeros; the others are then clipped to almost that.
            return replace(self, bound=max(median, sys.float_info.min)).combine(updates, context)
        return super().combine(updates, context)
