"""FoundationFL: copies of the most extreme update join the others before a robust rule."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.matrix import SORTED_BLOCK, column_blocks, sorted_columns
from fedsiege.rules.base import Aggregation, TolerantRule, registry
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class FoundationFL(TolerantRule):
    r"""The median or trimmed mean of all rows and copies of the most extreme one.

    The score of a row is its distance to the nearer of two extreme points,

    .. math::
        s_i = \min\big( \lVert g_i - g_{\max} \rVert,\; \lVert g_i - g_{\min} \rVert \big)

    where :math:`g_{\max}` and :math:`g_{\min}` hold the largest and the smallest value of each
    coordinate. ``n // 2`` copies of the row with the highest score (of equal ones, the first),
    which is meant to be an honest one, join the n rows; of all these the rule ``then`` is taken, in
    each coordinate: the median, or the mean without the f smallest and the f largest values.

    That fails where the highest score is a fake's, as MPAF's is at every scale tried: then f fakes
    are ``f + n // 2`` of ``n + n // 2`` rows, which the median survives only for f below a quarter
    of n and trimming f not at all.

    The paper prints a test error of .05 and .06 under MPAF (MNIST, 100 participants, a fifth of
    them fakes). In our setting (LeNet-5, 25 rounds, otherwise the same) that is refuted: at a scale
    of 0.05 the error is .89 with the trimmed mean and .78 with the median, and at scales of 0.05, 1
    and 1e6 it is .87 to .90 and .77 to .78. The trimmed mean and the median alone have .40 to .44.
    Without an attack, too, it costs accuracy: 55.8 % in the :doc:`ladder </ladder>`, where the
    median alone has 75.6.

    It needs :math:`2f < n`; the median does not use f otherwise. Cost: :math:`O(d\, n \log n)`.
    That f values are trimmed on either side has not been checked against the paper.

    Source:
        Minghong Fang, Seyedsina Nabavirazavi, Zhuqing Liu, Wei Sun, Sundararaja Sitharama Iyengar,
        Haibo Yang. `Do We Really Need to Design New Byzantine-robust Aggregation Rules?
        <https://arxiv.org/abs/2501.17381>`_ NDSS 2025, algorithm 1.
    """

    name: ClassVar[str] = "foundationfl"
    summary: ClassVar[str] = (
        "median or trimmed mean after copies of the most extreme update are added"
    )
    trusting: ClassVar[bool] = True

    then: Annotated[
        Literal["median", "trimmed-mean"], "rule applied to all rows, the copies included"
    ] = "median"

    def check(self, n: int) -> None:
        """Raise UnfitRound unless more than 2 f updates are there."""
        f = self.tolerated(n)
        if n <= 2 * f:
            raise UnfitRound(
                f"{self.name} with f={f} needs more than 2f = {2 * f} updates, there are {n}"
            )

    def remark(self, n: int) -> str:
        """Return a remark where there are more copies than values trimmed."""
        if self.then == "median":
            return ""
        return (
            f"{self.name} with then=trimmed-mean does not defend: where the row that is copied "
            f"{n // 2} times is a fake's, trimming f={self.tolerated(n)} leaves copies in"
        )

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, the scores are ``s_i``. The context is not used."""
        n, d = updates.shape
        scores = extremity(updates)
        copied = updates[int(scores.argmax())]
        rows = n + n // 2
        f = self.tolerated(n)
        counting = slice(f, rows - f) if self.then == "trimmed-mean" else _middle(rows)
        update = torch.empty(d, device=updates.device)
        for columns in column_blocks(d, max(1, SORTED_BLOCK // rows)):
            copies = copied[columns].expand(n // 2, -1)
            joined = torch.cat([updates[:, columns], copies])
            for part, ordered in sorted_columns(joined):
                mean = ordered[:, counting].mean(dim=1, dtype=torch.float64)
                update[columns][part] = mean.float()
        return Aggregation(update, torch.ones(n, dtype=torch.bool), scores)


def extremity(updates: Tensor) -> Tensor:
    """Return ``(n,)`` float64 on the CPU: the distance of each row to the nearer extreme."""
    n, d = updates.shape
    squares = torch.zeros(2, n, dtype=torch.float64, device=updates.device)
    for columns in column_blocks(d, max(1, SORTED_BLOCK // (4 * n))):
        block = updates[:, columns].double()
        squares[0] += (block - block.amax(dim=0)).square_().sum(dim=1)
        squares[1] += (block - block.amin(dim=0)).square_().sum(dim=1)
    return squares.amin(dim=0).sqrt().cpu()


def _middle(rows: int) -> slice:
    return slice((rows - 1) // 2, rows // 2 + 1)
