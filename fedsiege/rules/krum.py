"""Krum."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.distances import squared_distances
from fedsiege.numerics.threads import row_blocks, share
from fedsiege.rules.base import Aggregation, TolerantRule, registry
from fedsiege.rules.context import RoundContext

#: Distances that are sorted at a time, before the next thread takes some.
_SORTED = 2**16


@registry.register
@dataclass(frozen=True)
class Krum(TolerantRule):
    r"""The one update that lies closest to its ``n - f - 2`` nearest neighbours.

    .. math::
        \mathrm{Agg} = g_k, \qquad k = \operatorname*{arg\,min}_i s_i, \qquad
        s_i = \sum_{j \in N_i} \lVert g_i - g_j \rVert^2

    where :math:`N_i` holds the :math:`n - f - 2` other rows nearest to row i, and f is the assumed
    number of hostile participants. Of equal scores :math:`s_i`, the first row counts.

    It needs :math:`n \ge 2f + 3`. Cost: :math:`O(n^2 d)`.

    Source:
        Peva Blanchard, El Mahdi El Mhamdi, Rachid Guerraoui, Julien Stainer. `Machine Learning with
        Adversaries: Byzantine Tolerant Gradient Descent
        <https://papers.nips.cc/paper/2017/hash/f4b9ec30ad9f68f89b29639786cb62ef-Abstract.html>`_.
        NeurIPS 2017, section 4.
    """

    name: ClassVar[str] = "krum"
    summary: ClassVar[str] = "the one update closest to its n - f - 2 nearest neighbours"

    def check(self, n: int) -> None:
        """Raise UnfitRound unless at least 2 f + 3 updates are there."""
        f = self.tolerated(n)
        if n < 2 * f + 3:
            raise UnfitRound(
                f"{self.name} with f={f} needs at least 2f + 3 = {2 * f + 3} updates, there are {n}"
            )

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; one row counts, the context is not used."""
        scores = krum_scores(updates, self.tolerated(updates.shape[0]))
        best = int(scores.argmin())
        accepted = torch.zeros(updates.shape[0], dtype=torch.bool)
        accepted[best] = True
        return Aggregation(updates[best].to(torch.float32, copy=True), accepted, scores)


def krum_scores(updates: Tensor, f: int) -> Tensor:
    """Return ``(n,)`` float64 on the CPU: the Krum score of each row of ``(n, d)``."""
    distances = squared_distances(updates).fill_diagonal_(torch.inf)
    scores = np.empty(len(distances))

    def score(blocks: Iterator[slice]) -> None:
        for rows in blocks:
            ordered = distances[rows].numpy()
            ordered.sort(axis=1)  # in place; numpy sorts 20 times as fast as torch
            scores[rows] = ordered[:, : len(scores) - f - 2].sum(axis=1)

    share(score, row_blocks(distances, _SORTED))
    return torch.from_numpy(scores)
