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
    r"""A weighted mean; updates far out along the direction of largest variance lose weight.

    All weights :math:`c_i` begin at 1. Each step computes the weighted mean and covariance of the
    rows

    .. math::
        m = \frac{\sum_i c_i g_i}{\sum_i c_i}, \qquad
        \Sigma = \frac{\sum_i c_i (g_i - m)(g_i - m)^\top}{\sum_i c_i}

    the largest eigenvalue :math:`\lambda` of :math:`\Sigma`, and its eigenvector v, and then lowers
    the weights:

    .. math::
        c_i \leftarrow c_i \left( 1 - \frac{t_i}{\max_{j : c_j > 0} t_j} \right), \qquad
        t_i = \langle g_i - m, v \rangle^2

    It ends when the weights add up to :math:`n - 2f` or less. The result is the mean m of the step
    with the smallest :math:`\lambda`; with f = 0 it is the plain mean.

    It needs :math:`2f < n`. Cost: :math:`O(n^2 d)`, for the inner products, which all steps work
    on. Each step takes the weight of one row to 0, so there are :math:`2f` at most, or one with f =
    0.

    The eigenvector is the true one, from the n x n inner products. (ByzFL takes one step of the
    power method from a random start, so its result differs from call to call, and is None for f =
    0. Its maximum is over all rows: a row without weight that lies far away keeps the others from
    losing any, and the loop never ends.)

    Source:
        Youssef Allouah, Rachid Guerraoui, John Stephan. `Towards Trustworthy Federated Learning
        with Untrusted Participants <https://arxiv.org/abs/2505.01874>`_. ICML 2025, algorithm 2.
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
