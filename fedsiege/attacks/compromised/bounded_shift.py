"""Min-Max and Min-Sum: a mean that is shifted as far as it stays hidden."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, registry
from fedsiege.attacks.compromised.sample import deviation, mean, same_row, usable_sample
from fedsiege.attacks.vectors import unit
from fedsiege.numerics.distances import distances_to, squared_distances

#: By how much gamma stays below its bound, so that rounding to float32 does not carry it over.
_MARGIN = 1e-6


@dataclass(frozen=True)
class BoundedShift(CompromisedAttack):
    """Base of Min-Max and Min-Sum: ``g = mu + gamma p`` with the largest gamma that stays hidden.

    p is, by the mean mu and the standard deviation sigma of each coordinate of the sample, ``std``:
    -sigma; ``unit``: -mu / ||mu||; ``sign``: -sign(mu).

    Raises:
        UnfitRound: (in a round) fewer than 2 usable updates, which have no distance.
    """

    perturbation: Annotated[
        Literal["std", "unit", "sign"],
        "direction of the shift: std, minus the standard deviation; unit, the mean reversed; "
        "sign, minus the signs of the mean",
    ] = "std"

    @property
    def least(self) -> int:
        """Two: one update has no distance."""
        return 2

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        rows = usable_sample(self, broadcast)
        center = mean(rows)
        direction = self._direction(rows, center)
        gamma = (1 - _MARGIN) * self.largest_gamma(rows, center, direction)
        return same_row(center + gamma * direction, len(participants))

    def _direction(self, rows: Tensor, center: Tensor) -> Tensor:
        """Return p at length 1, ``(d,)`` float64: gamma makes up for its length.

        Zeros where every update is the mean, or the mean is 0: there is nowhere to go.
        """
        if self.perturbation == "std":
            return -unit(deviation(rows))
        return -unit(center.sign() if self.perturbation == "sign" else center)

    @abc.abstractmethod
    def largest_gamma(self, rows: Tensor, center: Tensor, direction: Tensor) -> float:
        """Return the largest gamma for which ``center + gamma direction`` keeps the bound.

        Args:
            rows: ``(m, d)``, m at least 2.
            center: ``(d,)`` float64, their mean.
            direction: ``(d,)`` float64, of length 1.
        """


@registry.register
@dataclass(frozen=True)
class MinMax(BoundedShift):
    r"""Shift the benign mean until it is as far from a benign update as two of those are apart.

    The attackers hold data. With partial knowledge they go by what they would have sent themselves,
    with full knowledge by the benign updates. They aim at the largest shift that rules by distance
    cannot tell from a benign update. All of them send the same, with the largest :math:`\gamma`
    that keeps the bound:

    .. math::

        g = \mu + \gamma p, \qquad
        \max_i \lVert g - g_i \rVert \le \max_{i,j} \lVert g_i - g_j \rVert

    :math:`g_1, \ldots, g_m` is the sample and :math:`\mu` its mean. The direction :math:`p` has
    length 1, and is that of :math:`-\sigma`, the standard deviation of each coordinate (``std``),
    of :math:`-\mu` (``unit``) or of :math:`-\operatorname{sign}(\mu)` (``sign``).

    For each :math:`i` that is a quadratic inequality in :math:`\gamma`: its root is exact where the
    authors' search halves an interval that ends at 20, and no candidate that failed can be
    returned. :math:`\gamma` stays :math:`10^{-6}` of itself below the root, so that rounding to
    float32 does not carry it over.

    Raises:
        UnfitRound: (in a round) fewer than 2 usable updates, which have no distance.

    Source:
        Virat Shejwalkar and Amir Houmansadr, `Manipulating the Byzantine: Optimizing Model
        Poisoning Attacks and Defenses for Federated Learning
        <https://doi.org/10.14722/ndss.2021.24498>`_, NDSS 2021, section IV-C.
    """

    name: ClassVar[str] = "min-max"
    summary: ClassVar[str] = "benign mean, shifted as far as two benign updates are apart at most"

    def largest_gamma(self, rows: Tensor, center: Tensor, direction: Tensor) -> float:
        """Return the smallest of the roots, one of each row."""
        pair = int(squared_distances(rows).argmax())
        farthest = rows[pair // len(rows)].double() - rows[pair % len(rows)].double()
        bound = farthest.square().sum()
        # ||center + gamma p - g_i||^2 = gamma^2 - 2 gamma p (g_i - center) + ||g_i - center||^2
        along = (rows.float() - center.float()) @ direction.float()
        along = along.double().cpu()
        room = (bound.cpu() - distances_to(rows, center.float()).square()).clamp(min=0)
        return float((along + torch.sqrt(along.square() + room)).min())


@registry.register
@dataclass(frozen=True)
class MinSum(BoundedShift):
    r"""Shift the benign mean until its distances add up to those of the most central update.

    The attackers hold data. With partial knowledge they go by what they would have sent themselves,
    with full knowledge by the benign updates. They aim at the largest shift that rules by sums of
    distances cannot tell from a benign update. All of them send the same, with the largest
    :math:`\gamma` that keeps the bound:

    .. math::

        g = \mu + \gamma p, \qquad
        \sum_i \lVert g - g_i \rVert^2 \le \min_j \sum_i \lVert g_j - g_i \rVert^2

    :math:`g_1, \ldots, g_m` is the sample and :math:`\mu` its mean. The direction :math:`p` has
    length 1, and is that of :math:`-\sigma`, the standard deviation of each coordinate (``std``),
    of :math:`-\mu` (``unit``) or of :math:`-\operatorname{sign}(\mu)` (``sign``).

    The bound is the least of the benign sums, of squares. (Copies of this attack have the largest,
    or forget the square.) Since :math:`\mu` is the mean, either side is :math:`m` times a squared
    distance from :math:`\mu` more than the sum of squares around :math:`\mu`. So :math:`\gamma` is
    the distance between :math:`\mu` and the update of the sample closest to it: exact, without a
    search. It stays :math:`10^{-6}` of itself below that, so that rounding to float32 does not
    carry it over.

    Raises:
        UnfitRound: (in a round) fewer than 2 usable updates, which have no distance.

    Source:
        Virat Shejwalkar and Amir Houmansadr, `Manipulating the Byzantine: Optimizing Model
        Poisoning Attacks and Defenses for Federated Learning
        <https://doi.org/10.14722/ndss.2021.24498>`_, NDSS 2021, section IV-C, and the authors'
        code.
    """

    name: ClassVar[str] = "min-sum"
    summary: ClassVar[str] = (
        "benign mean, shifted as far as the benign update nearest to it lies off"
    )

    def largest_gamma(self, rows: Tensor, center: Tensor, direction: Tensor) -> float:
        """Return the distance of the row that is closest to the mean."""
        return float(distances_to(rows, center.float()).min())
