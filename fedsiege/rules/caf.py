"""Covariance-bound agnostic filter."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.numerics.covariance import CenteredProducts
from fedsiege.numerics.distances import squared_distances
from fedsiege.numerics.matrix import weighted_sum
from fedsiege.rules.base import Aggregation, MinorityRule, registry
from fedsiege.rules.context import RoundContext

#: How well the direction has to be known; what it filters hardly changes with it.
_TOLERANCE = 1e-2


@registry.register
@dataclass(frozen=True)
class CAF(MinorityRule):
    """A weighted mean; updates far out along the direction of largest variance lose weight.

    All weights ``c_i`` begin at 1. In each step, with the weighted mean m and covariance of the
    rows, its largest eigenvalue l and the eigenvector v of l: ``t_i = <g_i - m, v>^2`` and ``c_i <-
    c_i (1 - t_i / max_j t_j)``, the maximum over rows with weight. It ends when the weights add up
    to ``n - 2 f`` or less; the update is the mean m of the step with the smallest l.

    It needs ``2 f < n``.

    The eigenvector is the true one, from the n x n inner products. (ByzFL takes one step of the
    power method from a random start, so its result differs from call to call, and is None for f =
    0. Its maximum is over all rows: a row without weight that lies far away keeps the others from
    losing any, and the loop never ends.)

    Allouah, Guerraoui, Stephan, *Towards Trustworthy Federated Learning with Untrusted
    Participants*, ICML 2025, algorithm 2.
    """

    name: ClassVar[str] = "caf"
    summary: ClassVar[str] = (
        "weighted mean; updates far out along the direction of largest variance count less"
    )

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; accepted are rows of weight, scores what they lost of it, 0 to 1."""
        n = updates.shape[0]
        weights = filtered_weights(squared_distances(updates), self.tolerated(n))
        update = weighted_sum(updates, weights / weights.sum())
        return Aggregation(update, weights > 0, 1 - weights)


def filtered_weights(distances: Tensor, f: int) -> Tensor:
    """Return ``(n,)`` float64, the weights ``c_i`` of the step with the smallest eigenvalue.

    Args:
        distances: ``(n, n)`` float64, squared and finite.
        f: the assumed number of hostile participants.
    """
    n = len(distances)
    weights = best = torch.ones(n, dtype=torch.float64)
    smallest = math.inf
    while True:
        values, along = CenteredProducts(distances, weights).principal(tolerance=_TOLERANCE)
        if values[0] < smallest:
            smallest, best = float(values[0]), weights
        outlying = along[:, 0].square()
        largest = outlying[weights > 0].max()
        if largest == 0:  # all rows of weight are the same
            return best
        weights = weights * (1 - (outlying / largest).clamp(max=1))
        if weights.sum() <= n - 2 * f:
            return best
