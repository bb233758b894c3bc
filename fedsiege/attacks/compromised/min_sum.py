"""Min-Sum: as close to all benign updates together as the most central of them."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.attacks.base import registry
from fedsiege.attacks.compromised.bounded_shift import BoundedShift
from fedsiege.numerics.distances import distances_to


@registry.register
@dataclass(frozen=True)
class MinSum(BoundedShift):
    """The mean, shifted until its distances add up to those of the most central benign update.

    All participants send ``g = mu + gamma p`` with the largest gamma for which::

        sum_i ||g - g_i||^2  <=  min_j sum_i ||g_j - g_i||^2

    The bound is the least of the benign sums, of squares. (Copies of this attack have the largest,
    or forget the square.) Since mu is the mean, either side is ``m ||. - mu||^2`` more than the sum
    of squares around mu. So ``gamma ||p||`` is the distance between mu and the benign update that
    is closest to it: exact, without a search.

    Args:
        knowledge: ``partial`` or ``full``.
        perturbation: p: ``std`` (minus the standard deviation of each coordinate), ``unit`` (the
            mean reversed) or ``sign`` (minus the signs of the mean).

    Raises:
        InvalidValue: a value is out of its range.
        UnfitRound: (in a round) fewer than 2 usable updates, which have no distance.

    Source: Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021, section IV-C, and the
    authors' code.
    """

    name: ClassVar[str] = "min-sum"
    summary: ClassVar[str] = "the mean shifted as far as the most central benign one is (Min-Sum)"

    def largest_gamma(self, rows: Tensor, center: Tensor, direction: Tensor) -> float:
        """Return the distance of the row that is closest to the mean."""
        return float(distances_to(rows, center.float()).min())
