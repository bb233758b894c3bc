"""Updates that equal another participant's in direction."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from fedsiege.detectors.base import Detector, registry
from fedsiege.numerics.cosines import cosines
from fedsiege.rules.context import RoundContext

#: Cosines are good to this.
_RESOLUTION = 1e-6
#: It is in force while half of the participants are this many times farther from others.
_FARTHER = 10


@registry.register
@dataclass(frozen=True)
class Duplicate(Detector):
    r"""Flags updates that point the same way as others, to the last digits.

    .. math::
        s_i = \frac{1 - c}{\max(\delta_i, 10^{-6})}, \qquad \delta_i = 1 - \cos(g_i, g_j)

    where j is the ``group - 1``-th most similar other update, and c the parameter ``cosine``. 1e-6
    is the accuracy of cosines: identical updates have the score 10 with the default. The test is in
    force while the median of the :math:`\delta_i` is 10 times as large as what is flagged; else, as
    where the same few weights move in all updates, the score is 0 for all.

    Honest participants with samples of one class are alike to 0.9999 (LeNet-5,
    dirichlet-prior:0.1); so 0.999, which others use, flags half of them. A fake that repeats an
    honest update has that one flagged as well. Where most units of the model are dead, honest
    updates of one class can be parallel, and are flagged. It does not see fakes that differ
    (mpaf-spread). Above ``1 - 1e-6`` no cosine of float32 products means anything. In a round of
    fewer than ``group`` updates all scores are 0. Cost: :math:`O(n^2 d)`.

    Source:
        FedSiege, see :doc:`/detectors`. That its fakes send the same vector is a trait of `MPAF:
        Model Poisoning Attacks to Federated Learning based on Fake Clients
        <https://arxiv.org/abs/2203.08669>`_, Xiaoyu Cao, Neil Zhenqiang Gong, CVPR workshops 2022.
    """

    name: ClassVar[str] = "duplicate"
    summary: ClassVar[str] = "flags updates that point the same way as others to the last digits"

    cosine: Annotated[float, Gt(0), Le(1 - _RESOLUTION), "least cosine that is flagged"] = 0.99999
    group: Annotated[int, Ge(2), "number of updates that must be alike"] = 2

    @property
    def least(self) -> int:
        """As many as must be alike."""
        return self.group

    def judge(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> tuple[Tensor, None]:
        """Score the updates; nothing is remembered."""
        n = len(updates)
        if n < self.group:
            return torch.zeros(n, dtype=torch.float64), None
        others = cosines(updates).fill_diagonal_(-torch.inf)
        nearest = others.topk(self.group - 1, dim=1).values[:, -1]
        return likeness(1 - nearest, 1 - self.cosine), None


def likeness(gaps: Tensor, limit: float) -> Tensor:
    """Return ``limit / gaps``, or 0 for all where the median gap says that all are alike.

    Args:
        gaps: ``(n,)`` float64, one minus a cosine.
        limit: the largest that is flagged.
    """
    if gaps.quantile(0.5) < _FARTHER * limit:
        return torch.zeros_like(gaps)
    return limit / gaps.clamp(min=_RESOLUTION)
