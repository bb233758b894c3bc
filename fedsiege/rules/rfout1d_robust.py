"""RFOut-1d repaired: median and MAD, and outliers are dropped."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege.numerics.matrix import column_blocks, sorted_columns
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext

#: What makes the median absolute deviation of a normal distribution its standard deviation.
_TO_DEVIATION = 1.4826


@registry.register
@dataclass(frozen=True)
class RFOut1dRobust(Rule):
    r"""The mean of each coordinate's values within some robust standard deviations of its median.

    .. math::
        \mathrm{Agg}_k = \frac{1}{|S_k|} \sum_{i \in S_k} g_{i,k}, \qquad
        S_k = \big\{\, i : |g_{i,k} - m_k| \le c \cdot 1.4826\, \mathrm{MAD}_k \,\big\}

    where :math:`m_k` is the median of coordinate k, :math:`\mathrm{MAD}_k` the median of the
    distances :math:`|g_{i,k} - m_k|`, and c the parameter ``deviations``, 3 by default. 1.4826
    times the MAD of a normal distribution is its standard deviation.

    It is the filter of ``rfout1d`` with what an attacker can move replaced: the median for the
    mean, the MAD for the standard deviation; and a value beyond is dropped, not replaced by a
    contaminated mean. It holds below 50 % outliers and for any n. Where more than half of the
    values are equal, the MAD is 0 and only those count. Cost: :math:`O(d\, n \log n)`.

    Source:
        FedSiege, see :doc:`/rules`. The filter that it repairs: Nuria Rodríguez-Barroso et al.
        `Backdoor attacks-resilient aggregation based on robust filtering of outliers in federated
        learning for image classification <https://doi.org/10.1016/j.knosys.2022.108588>`_.
        Knowledge-Based Systems 245, 2022.
    """

    name: ClassVar[str] = "rfout1d-robust"
    summary: ClassVar[str] = "mean of the values near the median, in each coordinate"

    deviations: Annotated[
        float,
        Ge(0.68),
        "robust standard deviations around the median that a value may lie off; from 0.68 on at"
        " least half of the values count",
    ] = 3.0

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, the context is not used."""
        n, d = updates.shape
        update = torch.empty(d, device=updates.device)
        middle = slice((n - 1) // 2, n // 2 + 1)
        for columns, block in sorted_columns(updates):
            # A quarter at a time, since what follows is float64 and has several temporaries.
            for some in column_blocks(len(block), -(-len(block) // 4)):
                ordered = block[some]
                median = ordered[:, middle].mean(dim=1, keepdim=True, dtype=torch.float64)
                # Of an even n, the mean of the two middle distances, too.
                spread = sum(_nearest(ordered, median, k) for k in (n // 2 + 1, (n + 1) // 2)) / 2
                near = (ordered - median).abs_() <= self.deviations * _TO_DEVIATION * spread
                total = torch.where(near, ordered, 0.0).sum(dim=1, dtype=torch.float64)
                update[columns][some] = (total / near.sum(dim=1)).float()
        return Aggregation(update, torch.ones(n, dtype=torch.bool))


def _nearest(ordered: Tensor, median: Tensor, k: int) -> Tensor:
    """Return ``(w, 1)`` float64: the k-th smallest distance to the median, without sorting again.

    The k values nearest to a point stand together among sorted values, so that distance is the
    least reach of any k neighbours.

    Args:
        ordered: ``(w, n)``, each row sorted.
        median: ``(w, 1)`` float64.
        k: 1 to n.
    """
    n = ordered.shape[1]
    below, above = median - ordered[:, : n - k + 1], ordered[:, k - 1 :] - median
    return torch.maximum(below, above).amin(dim=1, keepdim=True)
