"""Smallest maximum eigenvalue averaging."""

import math
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.aggregation.base import Aggregation, MinorityRule, catalogue
from fedsiege.aggregation.context import RoundContext
from fedsiege.aggregation.covariance import CenteredProducts, finite_distances
from fedsiege.aggregation.sums import mean_of_rows
from fedsiege.errors import UnfitRound

#: Subsets that are looked at, at most.
LIMIT = 200_000
#: Directions of largest variance in which every subset is looked at first.
_DIRECTIONS = 12
#: Subsets at a time.
_BATCH = 512


@catalogue.register
@dataclass(frozen=True)
class SMEA(MinorityRule):
    """The mean of the ``n - f`` updates whose covariance has the smallest largest eigenvalue.

    All ``n! / f! (n - f)!`` subsets are compared. Within the few directions in which all rows
    together vary most, the variance of a subset is quickly known, and its largest eigenvalue cannot
    be less; so most subsets need no closer look.

    Allouah, Guerraoui, Gupta, Pinot, Stephan, *On the Privacy-Robustness-Utility Trilemma in
    Distributed Learning*, ICML 2023, section 3.

    Args:
        f: the assumed number of hostile participants, ``0 <= 2 f < n``, with 200,000 subsets at
            most: up to 5 of 25, 3 of 100, 1 of 1000; None for ``floor(0.2 n)``.
    """

    name: ClassVar[str] = "smea"
    summary: ClassVar[str] = "the mean of the n - f updates that vary least; few participants only"

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
        removed = least_varying(finite_distances(updates), self.tolerated(n))
        accepted = torch.ones(n, dtype=torch.bool)
        accepted[removed] = False
        return Aggregation(mean_of_rows(updates, accepted), accepted)


def least_varying(distances: Tensor, f: int) -> list[int]:
    """Return which f rows to leave out so that the largest eigenvalue left is smallest.

    Args:
        distances: ``(n, n)`` float64, squared and finite.
        f: 0 or more, less than n.
    """
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
