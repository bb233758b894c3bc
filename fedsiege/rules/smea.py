"""Smallest maximum eigenvalue averaging."""

import math
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.covariance import CenteredProducts
from fedsiege.numerics.distances import squared_distances
from fedsiege.numerics.means import mean_of_rows
from fedsiege.rules.base import Aggregation, MinorityRule, registry
from fedsiege.rules.context import RoundContext

#: The most subsets that are compared.
LIMIT = 200_000
#: Directions of largest variance in which every subset is examined first.
_DIRECTIONS = 12
#: Subsets at a time.
_BATCH = 512
#: What errors of distances, some 2e-4 of each, might make of a bound that is a multiple of them.
_SLACK = 1.001


@registry.register
@dataclass(frozen=True)
class SMEA(MinorityRule):
    r"""The mean of the ``n - f`` updates whose covariance has the smallest largest eigenvalue.

    .. math::
        \bar g_S = \frac{1}{n - f} \sum_{i \in S} g_i, \qquad
        S = \operatorname*{arg\,min}_{|S| = n - f}\; \lambda_{\max} \left(
        \frac{1}{n - f} \sum_{i \in S} (g_i - \bar g_S)(g_i - \bar g_S)^\top \right)

    where S runs over all subsets of ``n - f`` rows and :math:`\lambda_{\max}` is the largest
    eigenvalue.

    All :math:`n! / (f!\, (n - f)!)` subsets are compared. Rows that lie too far out for any of the
    best are left out first. The variance of a subset within the few directions in which all others
    together vary most is quickly computed, and its largest eigenvalue cannot be smaller; so most
    subsets need no further computation.

    It needs :math:`2f < n` and 200,000 subsets at most: f up to 6 of 25 participants, 3 of 100, 1
    of 1000. With f = 0 it is the mean. Cost: :math:`O(n^2 d)` and the search.

    Source:
        Youssef Allouah, Rachid Guerraoui, Nirupam Gupta, Rafaël Pinot, John Stephan. `On the
        Privacy-Robustness-Utility Trilemma in Distributed Learning
        <https://arxiv.org/abs/2302.04787>`_. ICML 2023, section 3.
    """

    name: ClassVar[str] = "smea"
    summary: ClassVar[str] = "mean of the n - f updates that vary least (few participants only)"

    def check(self, n: int) -> None:
        """Raise UnfitRound unless more than 2 f updates are there and subsets within the limit."""
        super().check(n)
        f = self.tolerated(n)
        subsets = math.comb(n, f)
        if subsets > LIMIT:
            raise UnfitRound(
                f"{self.name} with f={f} would have to compare {subsets:,} subsets of {n} updates, "
                f"and the limit is {LIMIT:,}"
            )

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; n - f rows count, the context is not used."""
        n = updates.shape[0]
        removed = least_varying(squared_distances(updates), self.tolerated(n))
        accepted = torch.ones(n, dtype=torch.bool)
        accepted[removed] = False
        return Aggregation(mean_of_rows(updates, accepted), accepted)


def least_varying(distances: Tensor, f: int) -> list[int]:
    """Return which f rows to leave out so that the largest eigenvalue left is smallest.

    Args:
        distances: ``(n, n)`` float64, squared and finite.
        f: 0 or more, less than half of n.
    """
    # Without the rows that are too far out for any subset: next to their squares the variance of
    # the others would be less than a rounding error, and the bounds below would be wrong.
    out = too_far(distances, f)
    left = (~out).nonzero().flatten()
    others = _compare(distances[left][:, left], f - int(out.sum()))
    rows: list[int] = out.nonzero().flatten().tolist()
    return rows + left[others].tolist()


def too_far(distances: Tensor, f: int) -> Tensor:
    """Return ``(n,)`` bool: rows that cannot be in the subset of smallest largest eigenvalue.

    Of ``m = n - f`` rows, two at a squared distance D have an eigenvalue of ``D / 2m`` at least.
    And a row with the ``m - 1`` nearest to it has none above the mean of their m squared distances
    to that row. So what is farther than 2m times the smallest such mean from its ``m - 1`` nearest
    is out: f rows at most. All distances that are left are within 8m times that mean, as any two
    of the subsets share a row.

    Args:
        distances: ``(n, n)`` float64, squared and finite.
        f: 0 or more, less than half of n.
    """
    m = len(distances) - f
    nearest = distances.sort(dim=1).values[:, :m]  # the first is the row itself
    smallest = nearest.sum(dim=1).min() / m
    out: Tensor = nearest[:, -1] > _SLACK * 2 * m * smallest
    return out


def _compare(distances: Tensor, f: int) -> list[int]:
    """Return which f rows to leave out, by comparing all subsets."""
    n = len(distances)
    if f == 0:
        return []
    removed = torch.tensor(list(combinations(range(n), f)))
    bounds, order = _lower_bounds(distances, removed).sort(stable=True)
    best, chosen = math.inf, removed[0]
    for bound, k in zip(bounds.tolist(), order.tolist(), strict=True):
        if bound >= best:
            break
        kept = torch.ones(n, dtype=torch.float64)
        kept[removed[k]] = 0
        values, _ = CenteredProducts(distances, kept).principal()
        if values[0] < best:
            best, chosen = float(values[0]), removed[k]
    rows: list[int] = chosen.tolist()
    return rows


def _lower_bounds(distances: Tensor, removed: Tensor) -> Tensor:
    """Return for each subset the largest eigenvalue of its covariance in a few directions.

    Args:
        distances: ``(n, n)`` float64, squared and finite.
        removed: ``(k, f)`` int64, the rows that each of the subsets lacks.
    """
    n, f = len(distances), removed.shape[1]
    whole_set = CenteredProducts(distances, torch.ones(n, dtype=torch.float64))
    # Coordinates of the rows; they add up to 0 over all rows.
    _, places = whole_set.principal(min(n, _DIRECTIONS))
    whole = places.T @ places
    bounds = []
    for batch in torch.split(removed, _BATCH):
        lacking = places[batch]
        total = lacking.sum(dim=1)
        scatter = whole - lacking.transpose(1, 2) @ lacking
        scatter -= total[:, :, None] * total[:, None, :] / (n - f)
        bounds.append(torch.linalg.eigvalsh(scatter)[:, -1] / (n - f))
    return torch.cat(bounds)
