"""Fang's attack on the trimmed mean (and the median): values just beyond the benign ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, Knowledge, registry
from fedsiege.attacks.compromised.sample import deviation, mean, usable_sample
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class FangTrimmedMean(CompromisedAttack):
    r"""Draw each coordinate just beyond the benign value farthest against the benign direction.

    The attackers hold data. They aim at the trimmed mean and the median, which discard or pass over
    extreme values one coordinate at a time. With :math:`g_1, \ldots, g_m` the sample, the benign
    direction of coordinate :math:`j` is :math:`s_j = \operatorname{sign}(\sum_i g_{ij})`. With full
    knowledge each coordinate is drawn, evenly and for each participant anew, where :math:`s_j = 1`:

    .. math::

        g_j \sim \begin{cases}
            U(\min_i g_{ij} / b, \; \min_i g_{ij}) & \min_i g_{ij} > 0 \\
            U(b \min_i g_{ij}, \; \min_i g_{ij}) & \min_i g_{ij} \le 0
        \end{cases}

    :math:`s_j = -1` is the mirror image, with the maximum. With partial knowledge it is drawn by
    mean :math:`\mu` and standard deviation :math:`\sigma` of what the attackers would have sent
    themselves, :math:`\sigma` dividing by :math:`m`:

    .. math::

        g_j \sim U(\mu_j - 4 s_j \sigma_j, \; \mu_j - 3 s_j \sigma_j)

    Where :math:`s_j = 0`, 0 is sent. In the paper this is done on models; here, as in the authors'
    code, on updates. The paper takes :math:`b = 2`.

    Raises:
        UnfitRound: (in a round) no usable update; with partial knowledge fewer than 2.

    Source:
        Minghong Fang, Xiaoyu Cao, Jinyuan Jia and Neil Zhenqiang Gong, `Local Model Poisoning
        Attacks to Byzantine-Robust Federated Learning <https://arxiv.org/abs/1911.11815>`_, USENIX
        Security 2020, section 4.3.
    """

    name: ClassVar[str] = "fang-trimmed-mean"
    summary: ClassVar[str] = (
        "values just beyond the benign extremes, against the benign direction (Fang)"
    )

    b: Annotated[
        float,
        Gt(1),
        "factor between the benign extreme and the farthest value drawn; used with full knowledge",
    ] = 2.0

    @property
    def least(self) -> int:
        """Two where it goes by a deviation, which one update has not."""
        return 2 if self.knows is Knowledge.PARTIAL else 1

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row drawn afresh."""
        near, far = self._interval(broadcast)
        updates = torch.empty(len(participants), near.numel())
        for row, participant in zip(updates, participants, strict=True):
            draw = generator(broadcast.seed, "fang trimmed", broadcast.round_number, participant)
            row.copy_(torch.lerp(near, far, torch.from_numpy(draw.random(near.numel()))))
        return updates

    def _interval(self, broadcast: Broadcast) -> tuple[Tensor, Tensor]:
        """Return the ends between which each coordinate is drawn, ``(d,)`` float64 each."""
        if self.knows is Knowledge.PARTIAL:
            rows = usable_sample(self, broadcast)
            center = mean(rows)
            sigma = center.sign() * deviation(rows, population=True)
            return center - 3 * sigma, center - 4 * sigma
        rows = usable_sample(self, broadcast)
        trend = rows.sum(dim=0, dtype=torch.float64).sign()
        extreme = torch.where(trend > 0, rows.amin(dim=0), rows.amax(dim=0)).double()
        extreme = torch.where(trend == 0, 0.0, extreme)
        return extreme, torch.where(extreme * trend > 0, extreme / self.b, extreme * self.b)
