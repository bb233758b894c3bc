"""Minimum diameter averaging."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.distances import squared_distances
from fedsiege.numerics.means import mean_of_rows
from fedsiege.rules.base import Aggregation, MinorityRule, registry
from fedsiege.rules.context import RoundContext

#: The most subsets that are compared, which takes some seconds.
LIMIT = 2**20


@registry.register
@dataclass(frozen=True)
class MDA(MinorityRule):
    r"""The mean of the ``n - f`` updates that lie closest together.

    .. math::
        \frac{1}{n - f} \sum_{i \in S} g_i, \qquad
        S = \operatorname*{arg\,min}_{|S| = n - f}\; \max_{i, j \in S} \lVert g_i - g_j \rVert

    where S runs over all subsets of ``n - f`` rows. Of several with the same largest distance, the
    one with the smallest sum of squared distances counts.

    There are :math:`n! / (f!\, (n - f)!)` subsets. But one of the two rows that lie farthest apart
    has to be left out, then one of the two that are then farthest apart, and so on: at most
    :math:`2^f` subsets are compared, whatever n is.

    It needs :math:`2f < n` and f of 20 at most. With f = 0 it is the mean. Cost: :math:`O(n^2 d)`
    and the search.

    Source:
        El Mahdi El Mhamdi, Rachid Guerraoui, Arsany Guirguis, Lê Nguyên Hoang, Sébastien Rouault.
        `Genuinely Distributed Byzantine Machine Learning
        <https://doi.org/10.1145/3382734.3405695>`_. PODC 2020, section 3. The principle is of
        Rousseeuw, 1985.
    """

    name: ClassVar[str] = "mda"
    summary: ClassVar[str] = "mean of the n - f updates that lie closest together (f up to 20)"

    def check(self, n: int) -> None:
        """Raise UnfitRound unless more than 2 f updates are there and 2^f is within the limit."""
        super().check(n)
        f = self.tolerated(n)
        if 2**f > LIMIT:
            raise UnfitRound(
                f"{self.name} with f={f} may have to compare 2^{f} = {2**f:,} subsets, and "
                f"the limit is {LIMIT:,}: f can be 20 at most"
            )

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; n - f rows count, the context is not used."""
        n = updates.shape[0]
        distances = squared_distances(updates).numpy()
        accepted = torch.ones(n, dtype=torch.bool)
        accepted[smallest_diameter(distances, self.tolerated(n))] = False
        return Aggregation(mean_of_rows(updates, accepted), accepted)


def smallest_diameter(distances: NDArray[np.float64], f: int) -> list[int]:
    """Return which f rows to leave out so that the largest distance left is smallest.

    Args:
        distances: ``(n, n)`` squared, symmetric.
        f: 0 or more, less than half of n.
    """
    return _Search(distances, f).removed if f > 0 else []


class _Search:
    """Branch and bound over the pairs of rows, the most distant first.

    Attributes:
        removed: the rows to leave out.
    """

    def __init__(self, distances: NDArray[np.float64], f: int) -> None:
        n = len(distances)
        self._distances = distances
        # f rows are part of f (n - 1) pairs at most, so one of these is the diameter that is left.
        pairs = np.triu(np.ones((n, n), np.bool_), 1)
        sizes = distances[pairs]
        first = max(0, len(sizes) - f * (n - 1) - 1)
        sizes.partition(first)
        pairs &= distances >= sizes[first]
        sizes = distances[pairs]
        order = np.argsort(-sizes, kind="stable")
        self._sizes = sizes[order].tolist()
        self._pairs = [(int(i), int(j)) for i, j in np.argwhere(pairs)[order]]
        self._bits = [1 << i | 1 << j for i, j in self._pairs]  # sets of rows are whole numbers
        self._sums = distances.sum(axis=1)
        self._seen: set[int] = set()
        self._diameter = np.inf
        self.removed: list[int] = []
        self._branch(0, [], 0, f)

    def _branch(self, gone: int, removed: list[int], position: int, budget: int) -> None:
        """Leave out one or the other row of the most distant pair that is left."""
        if gone in self._seen:
            return
        self._seen.add(gone)
        while self._bits[position] & gone:
            position += 1
        if budget == 0:
            self._compare(self._sizes[position], removed)
        elif self._is_hopeful(gone, position, budget):
            # First the one that lies farther from all: the sooner a good subset is found, the fewer
            # others need a look.
            for row in sorted(self._pairs[position], key=lambda row: -self._sums[row]):
                self._branch(gone | 1 << row, [*removed, row], position + 1, budget - 1)

    def _is_hopeful(self, gone: int, position: int, budget: int) -> bool:
        """Return whether leaving out that many more rows can be as good as the best so far.

        Of disjoint pairs that are farther apart, each costs one row.
        """
        for k in range(position, len(self._bits)):
            if self._sizes[k] <= self._diameter:
                return True
            if not self._bits[k] & gone:
                if budget == 0:
                    return False
                gone |= self._bits[k]
                budget -= 1
        return True

    def _compare(self, diameter: float, removed: list[int]) -> None:
        """Keep these rows if no others are better."""
        if diameter < self._diameter or not self.removed:
            self._diameter, self.removed = diameter, removed
        elif diameter == self._diameter and self._spread(self.removed, removed) > 0:
            self.removed = removed

    def _spread(self, removed: list[int], instead: list[int]) -> float:
        """Return by how much more the squared distances left add up to than with others removed."""
        common = np.ones(len(self._distances), np.bool_)
        common[removed + instead] = False
        return self._share(set(instead) - set(removed), common) - self._share(
            set(removed) - set(instead), common
        )

    def _share(self, rows: set[int], common: NDArray[np.bool_]) -> float:
        """Return the sum of the squared distances that some rows have to others and each other."""
        part = self._distances[sorted(rows)]
        return float(2 * part[:, common].sum() + part[:, sorted(rows)].sum())
