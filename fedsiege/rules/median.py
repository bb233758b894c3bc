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
    """The median of each coordinate; of an even n, the mean of the two middle values.

    Yin et al., *Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates*, ICML
    2018, definition 1.
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
