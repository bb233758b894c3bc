"""Mean around the median."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.numerics.matrix import row_means, sorted_columns
from fedsiege.rules.base import Aggregation, MinorityRule, registry
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class Meamed(MinorityRule):
    r"""In each coordinate the mean of the ``n - f`` values that lie closest to the median.

    .. math::
        \mathrm{Agg}_k = \frac{1}{n - f} \sum_{i \in N_k} g_{i,k}

    where :math:`N_k` holds the ``n - f`` rows whose values in coordinate k lie closest to the
    median of all n. Of two values at equal distances the smaller one counts.

    It needs :math:`2f < n`. With f = 0 it is the mean. Cost: :math:`O(d\, n \log n)`.

    Source:
        Cong Xie, Oluwasanmi Koyejo, Indranil Gupta. `Generalized Byzantine-tolerant SGD
        <https://arxiv.org/abs/1802.10116>`_. 2018, definition 8.
    """

    name: ClassVar[str] = "meamed"
    summary: ClassVar[str] = "mean of the n - f values closest to the median, in each coordinate"
    by_coordinate: ClassVar[bool] = True

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, the context is not used."""
        n = updates.shape[0]
        update = mean_around_median(updates, n - self.tolerated(n))
        return Aggregation(update, torch.ones(n, dtype=torch.bool))


def mean_around_median(updates: Tensor, count: int, rows: Tensor | None = None) -> Tensor:
    """Return the mean of each coordinate's ``count`` values closest to its median.

    Args:
        updates: ``(n, d)`` floating point, finite.
        count: 1 to the number of rows that take part.
        rows: ``(m,)`` int64 on the CPU, which rows take part; None for all.

    Returns:
        ``(d,)`` float32 on the device of the updates.
    """
    n, d = updates.shape
    m = n if rows is None else len(rows)
    update = torch.empty(d, device=updates.device)
    for columns, ordered in sorted_columns(updates, rows):
        median = ordered[:, (m - 1) // 2 : m // 2 + 1].mean(dim=1, dtype=torch.float64)[:, None]
        # In sorted order the closest values stand side by side. That window starts at the smallest
        # and moves on while the value it would lose is farther away than the one it would win.
        window = ordered[:, :count].clone()
        for start in range(0, m - count, count):
            lost = slice(start, min(start + count, m - count))
            low, high = ordered[:, lost], ordered[:, lost.start + count : lost.stop + count]
            part = window[:, : lost.stop - lost.start]
            torch.where(median - low > high - median, high, part, out=part)
        update[columns] = row_means(window)
    return update
