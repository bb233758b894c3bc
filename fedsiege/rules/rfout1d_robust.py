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
    """The mean of each coordinate's values within 3 robust standard deviations of its median.

    The same filter as ``rfout1d`` with what an attacker can move replaced: the median for the mean,
    ``1.4826 MAD`` (median absolute deviation from the median) for the standard deviation; and a
    value beyond is dropped, not replaced by a contaminated mean. It holds below 50 % outliers and
    for any n. Where more than half of the values are equal, MAD is 0 and only those count.

    Ours; the filter it repairs is from Rodriguez-Barroso et al., Knowledge-Based Systems 245, 2022.
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
