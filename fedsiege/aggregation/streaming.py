"""Rules that are weighted means and so can take updates one by one."""

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.aggregation.base import Aggregation, Rule
from fedsiege.aggregation.context import RoundContext
from fedsiege.aggregation.matrix import rows_of
from fedsiege.aggregation.norms import norm_of
from fedsiege.aggregation.running_sum import RunningSum


@dataclass(frozen=True)
class StreamingRule(Rule):
    """Base of the rules ``sum_i weight_i g_i / sum_i mass_i``, where each term needs only its row.

    Whoever receives updates keeps one RunningSum and calls for each, as it arrives,

        ``total.add(row, rule.weight_of(norm, num_samples), rule.mass_of(norm, num_samples))``

    and takes ``total.mean()`` at the end. That is what ``rule(matrix)`` does too, so both agree bit
    for bit, in any order of arrival.
    """

    @property
    def streams(self) -> bool:
        """Whether this rule, with these parameters, can take updates one by one."""
        return True

    @abc.abstractmethod
    def weight_of(self, norm: float, num_samples: int) -> float:
        """Return the factor of an update in the numerator.

        Args:
            norm: its L2 norm, finite.
            num_samples: the sample count its participant reports, any whole number.
        """

    def mass_of(self, norm: float, num_samples: int) -> float:
        """Return the share of an update in the denominator; arguments as for ``weight_of``."""
        return 1.0

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts."""
        n, d = updates.shape
        counts = [1] * n if context.weights is None else context.weights.tolist()
        total = RunningSum(d)
        for row, num_samples in zip(rows_of(updates), counts, strict=True):
            norm = norm_of(row)
            total.add(row, self.weight_of(norm, num_samples), self.mass_of(norm, num_samples))
        mean = total.mean().to(updates.device)
        return Aggregation(mean, torch.ones(n, dtype=torch.bool))
