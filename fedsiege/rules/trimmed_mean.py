"""Coordinate-wise trimmed mean."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.numerics.matrix import row_means, sorted_columns
from fedsiege.rules.base import Aggregation, MinorityRule, registry
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class TrimmedMean(MinorityRule):
    r"""The mean of each coordinate without its f smallest and its f largest values.

    .. math::
        \mathrm{Agg}_k = \frac{1}{n - 2f} \sum_{j = f + 1}^{n - f} x_{(j)}

    where :math:`x_{(1)} \le \ldots \le x_{(n)}` are the values of coordinate k in order.

    It trims values, not participants: each coordinate may lose other rows. With f = 0 it is the
    mean. It needs :math:`2f < n`. Cost: :math:`O(d\, n \log n)`.

    Source:
        Dong Yin, Yudong Chen, Kannan Ramchandran, Peter Bartlett. `Byzantine-Robust Distributed
        Learning: Towards Optimal Statistical Rates <https://arxiv.org/abs/1803.01498>`_. ICML 2018,
        definition 2, with :math:`\beta = f / n`.
    """

    name: ClassVar[str] = "trimmed-mean"
    summary: ClassVar[str] = (
        "mean without the f smallest and the f largest values, in each coordinate"
    )
    by_coordinate: ClassVar[bool] = True

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, the context is not used."""
        n, d = updates.shape
        f = self.tolerated(n)
        update = torch.empty(d, device=updates.device)
        for columns, ordered in sorted_columns(updates):
            # Sorted values in float64: one sum, whatever the order of the rows was.
            update[columns] = row_means(ordered[:, f : n - f])
        return Aggregation(update, torch.ones(n, dtype=torch.bool))
