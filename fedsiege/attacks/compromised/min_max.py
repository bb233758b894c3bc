"""Min-Max: as far from the mean as the two benign updates that are farthest apart."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.base import registry
from fedsiege.attacks.compromised.bounded_shift import BoundedShift
from fedsiege.numerics.distances import distances_to, squared_distances


@registry.register
@dataclass(frozen=True)
class MinMax(BoundedShift):
    """The mean, shifted until its largest distance to a benign update is that of two benign ones.

    All participants send ``g = mu + gamma p`` with the largest gamma for which::

        max_i ||g - g_i||  <=  max_ij ||g_i - g_j||

    For each i that is a quadratic inequality in gamma: its root is exact where the authors' search
    halves an interval that ends at 20, and no candidate that failed can be returned.

    Args:
        knowledge: ``partial`` or ``full``.
        perturbation: p: ``std`` (minus the standard deviation of each coordinate), ``unit`` (the
            mean reversed) or ``sign`` (minus the signs of the mean).

    Raises:
        InvalidValue: a value is out of its range.
        UnfitRound: (in a round) fewer than 2 usable updates, which have no distance.

    Source: Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021, section IV-C.
    """

    name: ClassVar[str] = "min-max"
    summary: ClassVar[str] = "the mean shifted as far as two benign updates are apart (Min-Max)"

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
