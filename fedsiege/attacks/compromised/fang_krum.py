"""Fang's attack on Krum: as far against the trend as Krum still chooses it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, Knowledge, Setting, registry
from fedsiege.attacks.compromised.sample import same_row, usable_sample
from fedsiege.errors import UnfitRound
from fedsiege.numerics.distances import distances_to, squared_distances
from fedsiege.rules import Krum
from fedsiege.rules.bulyan import choose

#: Where lambda stops being halved; as a share of the bound it began at, where that is below 1.
LEAST = 1e-5


@registry.register
@dataclass(frozen=True)
class FangKrum(CompromisedAttack):
    r"""Step against the benign direction in every coordinate, as far as Krum still chooses it.

    The attackers hold data. With partial knowledge they go by what they would have sent themselves,
    with full knowledge by the benign updates. They aim at Krum, which takes one update whole. All
    of them send the same:

    .. math::

        g = -\lambda s, \qquad s = \operatorname{sign}\Bigl( \sum_{i=1}^{m} g_i \Bigr)

    :math:`g_1, \ldots, g_m` is the sample. :math:`\lambda` begins at a bound that no choice of Krum
    exceeds, and is halved until Krum over the sample and :math:`f` hostile rows, all of them
    :math:`g`, chooses :math:`g`:

    .. math::

        \lambda_{\max} = \frac{1}{\lVert s \rVert} \left(
            \sqrt{\frac{\min_i \sum_{j \in N_i} \lVert g_i - g_j \rVert^2}{m - f - 1}}
            + \max_i \lVert g_i \rVert \right)

    :math:`N_i` are the :math:`m - 2` updates of the sample that are nearest to :math:`g_i`. With
    partial knowledge, where the number of benign participants is not known, it is tried with one
    hostile row, then with two and so on, up to what Krum admits. If nothing above
    :math:`10^{-5} \min(1, \lambda_{\max})` is chosen, the participants send what they would have
    sent.

    Krum is that of FedSiege, with :math:`f` as the number of hostile rows. The authors' code also
    takes a :math:`\lambda` with which Krum has chosen the first benign row; that is a failed one.
    It ends at :math:`10^{-5}` whatever the bound, so that among small updates, of a low learning
    rate, it does not attack.

    Raises:
        UnfitRound: (in a round) Krum does not work with the rows at hand: it takes f + 3 benign
            ones to be fooled with f hostile ones.

    Source:
        Minghong Fang, Xiaoyu Cao, Jinyuan Jia and Neil Zhenqiang Gong, `Local Model Poisoning
        Attacks to Byzantine-Robust Federated Learning <https://arxiv.org/abs/1911.11815>`_, USENIX
        Security 2020, section 4.2; the bound is that of theorem 1 for squared distances.
    """

    name: ClassVar[str] = "fang-krum"
    summary: ClassVar[str] = (
        "longest step against the benign direction that Krum still chooses (Fang)"
    )

    def check(self, setting: Setting) -> None:
        """Raise UnfitRound if Krum will not work with the rows at hand."""
        super().check(setting)
        partial = self.knows is Knowledge.PARTIAL
        self._counts(setting.hostile if partial else setting.benign, setting.hostile)

    def _counts(self, m: int, f: int) -> range:
        """Return with how many hostile rows to try, beside m rows of the sample, f being hostile.

        Raises:
            UnfitRound: Krum does not work with so few.
        """
        counts = range(f, f + 1) if self.knows is Knowledge.FULL else range(1, max(m - 3, 1) + 1)
        try:
            Krum(f=counts[0]).check(m + counts[0])
        except UnfitRound as error:
            raise UnfitRound(f"{self.name} ({self.knowledge} knowledge): {error}") from error
        return counts

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory unless nothing is chosen."""
        rows = usable_sample(self, broadcast)
        counts = self._counts(len(rows), len(broadcast.hostile))
        signs = rows.sum(dim=0, dtype=torch.float64).sign()
        distances = squared_distances(rows).numpy()
        squares = distances_to(rows).square().numpy()
        along = (rows.float() @ signs.float()).double().numpy()
        size = float(signs.square().sum())
        for count in counts:
            length = _bound(distances, squares, size, count)
            least = LEAST * min(1.0, length)
            while least < length < math.inf:  # beyond float32 nothing can be told
                to_crafted = squares + 2 * length * along + length**2 * size
                if _krum_chooses_crafted(distances, to_crafted, count):
                    return same_row(-length * signs, len(participants))
                length /= 2
        return broadcast.own_of(participants)


def _bound(
    distances: NDArray[np.float64], squares: NDArray[np.float64], size: float, f: int
) -> float:
    """Return a lambda that no choice of Krum exceeds.

    The score of a hostile row has the squared distances to ``m - f - 1`` benign ones, none of them
    smaller than ``(lambda sqrt(size) - max ||g_i||)^2``; to be chosen, it may not exceed the least
    score that benign rows have among themselves.
    """
    m = len(distances)
    least = float(np.sort(distances, axis=1)[:, 1 : m - 1].sum(axis=1).min())
    reach = math.sqrt(least / (m - f - 1)) + math.sqrt(squares.max())
    return reach / math.sqrt(size) if size > 0 else 0.0


def _krum_chooses_crafted(
    distances: NDArray[np.float64], to_crafted: NDArray[np.float64], f: int
) -> bool:
    """Return whether Krum over m benign and f equal crafted rows chooses a crafted one.

    Args:
        distances: ``(m, m)`` squared, between benign rows.
        to_crafted: ``(m,)`` squared, from benign rows to the crafted one.
        f: how many crafted rows there are, and how many Krum assumes.
    """
    m = len(distances)
    together = np.zeros((m + f, m + f))
    together[:m, :m] = distances
    together[m:, :m] = to_crafted
    together[:m, m:] = to_crafted[:, None]
    chosen, _ = choose(together, 1, f)
    return chosen[0] >= m
