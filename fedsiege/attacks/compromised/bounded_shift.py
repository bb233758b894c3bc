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
    """The mean, shifted until its largest distance to a benign update is that of two benign ones.

    All participants send ``g = mu + gamma p`` with the largest gamma for which::

        max_i ||g - g_i||  <=  max_ij ||g_i - g_j||

    For each i that is a quadratic inequality in gamma: its root is exact where the authors' search
    halves an interval that ends at 20, and no candidate that failed can be returned.

    Source: Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021, section IV-C.
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
    """The mean, shifted until its distances add up to those of the most central benign update.

    All participants send ``g = mu + gamma p`` with the largest gamma for which::

        sum_i ||g - g_i||^2  <=  min_j sum_i ||g_j - g_i||^2

    The bound is the least of the benign sums, of squares. (Copies of this attack have the largest,
    or forget the square.) Since mu is the mean, either side is ``m ||. - mu||^2`` more than the sum
    of squares around mu. So ``gamma ||p||`` is the distance between mu and the benign update
    closest to it: exact, without a search.

    Source: Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021, section IV-C, and the
    authors' code.
    """

    name: ClassVar[str] = "min-sum"
    summary: ClassVar[str] = (
        "benign mean, shifted as far as the benign update nearest to it lies off"
    )

    def largest_gamma(self, rows: Tensor, center: Tensor, direction: Tensor) -> float:
        """Return the distance of the row that is closest to the mean."""
        return float(distances_to(rows, center.float()).min())
