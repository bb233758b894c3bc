"""Multi-Krum."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.means import mean_of_rows
from fedsiege.rules.base import Aggregation, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.krum import Krum, krum_scores


@registry.register
@dataclass(frozen=True)
class MultiKrum(Krum):
    r"""The mean of the m updates with the lowest Krum scores.

    .. math::
        \frac{1}{m} \sum_{i \in M} g_i, \qquad
        s_i = \sum_{j \in N_i} \lVert g_i - g_j \rVert^2

    where M holds the m rows with the lowest scores :math:`s_i` (of equal scores, the first), and
    :math:`N_i` the :math:`n - f - 2` other rows nearest to row i, as in ``krum``. The default of m
    is ``n - f``.

    It needs :math:`n \ge 2f + 3` and :math:`n \ge m`. With f = 0 and the default of m it is the
    mean. Cost: :math:`O(n^2 d)`.

    Source:
        Peva Blanchard, El Mahdi El Mhamdi, Rachid Guerraoui, Julien Stainer. `Machine Learning with
        Adversaries: Byzantine Tolerant Gradient Descent
        <https://papers.nips.cc/paper/2017/hash/f4b9ec30ad9f68f89b29639786cb62ef-Abstract.html>`_.
        NeurIPS 2017, section 5.
    """

    name: ClassVar[str] = "multi-krum"
    summary: ClassVar[str] = "mean of the m updates with the best Krum scores"
    mean_without_hostile: ClassVar[bool] = True

    m: Annotated[int | None, Ge(1), "number of updates to average; None for n - f"] = None

    def check(self, n: int) -> None:
        """Raise UnfitRound unless at least 2 f + 3 and at least m updates are there."""
        super().check(n)
        if self.m is not None and n < self.m:
            raise UnfitRound(
                f"{self.name} with m={self.m} needs at least {self.m} updates, there are {n}"
            )

    def remark(self, n: int) -> str:
        """Return a remark where so many are averaged that hostile ones can be among them."""
        honest = n - self.tolerated(n)
        if self.m is not None and self.m > honest:
            return f"{self.name} averages m={self.m} updates, but takes only {honest} for honest"
        return super().remark(n) if self.m in (None, n) else ""

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; m rows count, the context is not used."""
        n = updates.shape[0]
        f = self.tolerated(n)
        scores = krum_scores(updates, f)
        chosen = scores.argsort(stable=True)[: n - f if self.m is None else self.m]
        accepted = torch.zeros(n, dtype=torch.bool)
        accepted[chosen] = True
        return Aggregation(mean_of_rows(updates, accepted), accepted, scores)
