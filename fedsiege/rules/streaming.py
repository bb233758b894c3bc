"""Rules that are weighted means and so can take updates one by one."""

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.numerics.distances import norm_of
from fedsiege.numerics.exact_mean import exact_mean, mean_if_finite
from fedsiege.numerics.matrix import rows_of
from fedsiege.rules.base import Aggregation, Rule
from fedsiege.rules.context import RoundContext


@dataclass(frozen=True)
class StreamingRule(Rule):
    """Base of the rules ``sum_i weight_i g_i / sum_i mass_i``, where each term needs only its row.

    The receiver of the updates keeps one RunningSum and calls for each, as it arrives,

        ``total.add(row, rule.weight_of(norm, num_samples), rule.mass_of(norm, num_samples))``

    and takes ``total.mean()`` at the end, with ``rule.remarks_on`` the counts. ``rule(matrix)``
    gives the same, bit for bit, in any order of arrival: see ``exact_mean``.

    Attributes:
        measures: whether the norm of an update matters; of others it is not taken.
    """

    measures: ClassVar[bool] = True

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

    def remarks_on(self, counts: Sequence[int]) -> tuple[str, ...]:
        """Return the remarks on a round, see ``Aggregation``, from the sample counts reported."""
        return ()

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts."""
        weights, masses = self._shares(updates, context)
        return self._aggregation(exact_mean(updates, weights, masses), len(updates), context)

    def at_once(self, updates: Tensor, context: RoundContext) -> Aggregation | None:
        """Aggregate in one pass, as nearly always is possible."""
        if self.measures or len(updates) == 0:
            return None
        weights, masses = self._shares(updates, context)
        mean = mean_if_finite(updates, weights, masses)
        return None if mean is None else self._aggregation(mean, len(updates), context)

    def _aggregation(self, mean: Tensor, n: int, context: RoundContext) -> Aggregation:
        counts = [] if context.weights is None else context.weights.tolist()
        everyone = torch.ones(n, dtype=torch.bool)
        return Aggregation(mean, everyone, remarks=self.remarks_on(counts))

    def _shares(self, updates: Tensor, context: RoundContext) -> tuple[list[float], list[float]]:
        """Return the factor of each update in the numerator, and its share in the denominator."""
        n = len(updates)
        counts = [1] * n if context.weights is None else context.weights.tolist()
        norms = [norm_of(row) for row in rows_of(updates)] if self.measures else [math.nan] * n
        arrivals = list(zip(norms, counts, strict=True))
        return (
            [self.weight_of(norm, count) for norm, count in arrivals],
            [self.mass_of(norm, count) for norm, count in arrivals],
        )
