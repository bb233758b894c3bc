"""Bulyan."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.distances import squared_distances
from fedsiege.rules.base import Aggregation, TolerantRule, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.meamed import mean_around_median


@registry.register
@dataclass(frozen=True)
class Bulyan(TolerantRule):
    r"""The mean around the median of the ``n - 2 f`` updates that Krum chooses.

    *Step 1.* Krum runs :math:`\theta = n - 2f` times, each time over the rows that are left, and
    takes the best away. Over m rows the score of a row is the sum of its :math:`m - f - 2` smallest
    squared distances; of equal scores, and when there is nothing left to sum, Krum's score over all
    n rows decides.

    *Step 2.* In each coordinate k it averages the :math:`\beta` values of the chosen rows that lie
    closest to their median:

    .. math::
        \mathrm{Agg}_k = \frac{1}{\beta} \sum_{i \in N_k} g_{i,k}, \qquad
        \beta = \theta - 2f = n - 4f

    where :math:`N_k` holds these :math:`\beta` of the :math:`\theta` chosen rows. It differs from
    coordinate to coordinate.

    It needs :math:`n \ge 4f + 3`. With f = 0 it is the mean. Cost: :math:`O(n^2 d)`, as Krum's; the
    distances are computed once.

    Source:
        El Mahdi El Mhamdi, Rachid Guerraoui, Sébastien Rouault. `The Hidden Vulnerability of
        Distributed Learning in Byzantium <https://arxiv.org/abs/1802.07927>`_. ICML 2018, section
        4.
    """

    name: ClassVar[str] = "bulyan"
    summary: ClassVar[str] = (
        "Krum selects n - 2 f updates, then the mean around their median is taken"
    )
    mean_without_hostile: ClassVar[bool] = True

    def check(self, n: int) -> None:
        """Raise UnfitRound unless at least 4 f + 3 updates are there."""
        f = self.tolerated(n)
        if n < 4 * f + 3:
            raise UnfitRound(
                f"{self.name} with f={f} needs at least 4f + 3 = {4 * f + 3} updates, there are {n}"
            )

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; accepted are the rows that Krum chose, scores are those of Krum over all."""
        n = updates.shape[0]
        f = self.tolerated(n)
        chosen, scores = choose(squared_distances(updates).numpy(), n - 2 * f, f)
        accepted = torch.zeros(n, dtype=torch.bool)
        accepted[chosen] = True
        update = mean_around_median(updates, n - 4 * f, accepted.nonzero().flatten())
        return Aggregation(update, accepted, torch.from_numpy(scores))


def choose(
    distances: NDArray[np.float64], count: int, f: int
) -> tuple[list[int], NDArray[np.float64]]:
    """Run Krum again and again over the rows that are left.

    Args:
        distances: ``(n, n)`` squared.
        count: how many rows to choose, at most n.
        f: the assumed number of hostile rows.

    Returns:
        The rows in the order in which they were chosen, and ``(n,)`` the scores over all rows.
    """
    n = len(distances)
    everyone = np.arange(n)
    others = distances.copy()
    np.fill_diagonal(others, np.inf)
    order = others.argsort(axis=1, kind="stable")
    # Rows whose distance is part of the score: with each row that goes, one of them goes too.
    counted = np.zeros((n, n), np.bool_)
    nearest = max(0, n - f - 2)
    np.put_along_axis(counted, order[:, :nearest], True, axis=1)
    part = np.where(counted, others, 0.0)
    first = part.sum(axis=1)
    farthest = np.full(n, nearest - 1)  # where in its order each row's last counted one stands
    left = np.ones(n, np.bool_)
    chosen: list[int] = []
    while len(chosen) < count:
        best = int(np.lexsort((first, part.sum(axis=1), ~left))[0])
        chosen.append(best)
        left[best] = False
        gone = np.where(counted[:, best] | (farthest < 0), best, order[everyone, farthest])
        counted[everyone, gone] = False
        part[everyone, gone] = 0.0
        while (stale := (farthest >= 0) & ~counted[everyone, order[everyone, farthest]]).any():
            farthest -= stale
    return chosen, first
