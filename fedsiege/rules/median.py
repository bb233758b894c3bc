"""Coordinate-wise median."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.numerics.matrix import sorted_columns
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class Median(Rule):
    r"""The median of each coordinate.

    .. math::
        \mathrm{Agg}_k = \mathrm{median}(g_{1,k}, \ldots, g_{n,k}) = \begin{cases}
            x_{((n + 1) / 2)} & n \text{ odd} \\
            \frac{1}{2} \left( x_{(n / 2)} + x_{(n / 2 + 1)} \right) & n \text{ even}
        \end{cases}

    where :math:`x_{(1)} \le \ldots \le x_{(n)}` are the values of coordinate k in order.

    It takes no f. With fewer than half of the updates hostile, each coordinate of the result lies
    between the smallest and the largest honest value. Cost: :math:`O(d\, n \log n)`.

    Source:
        Dong Yin, Yudong Chen, Kannan Ramchandran, Peter Bartlett. `Byzantine-Robust Distributed
        Learning: Towards Optimal Statistical Rates <https://arxiv.org/abs/1803.01498>`_. ICML 2018,
        definition 1.
    """

    name: ClassVar[str] = "median"
    summary: ClassVar[str] = "median of each coordinate"
    by_coordinate: ClassVar[bool] = True

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, the context is not used."""
        n, d = updates.shape
        update = torch.empty(d, device=updates.device)
        for columns, ordered in sorted_columns(updates):
            middle = ordered[:, (n - 1) // 2 : n // 2 + 1]
            # In float64, since the sum of two float32 may overflow.
            update[columns] = middle.mean(dim=1, dtype=torch.float64)
        return Aggregation(update, torch.ones(n, dtype=torch.bool))
