"""Whether the participants have a common direction, and what is left of each without it.

Directions are weights of the unit vectors ``M_i``, so that their products ``K_ij = M_i . M_j`` are
all that is needed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.numerics.means import median_of
from fedsiege.rules.sentinel.camps import larger_camp

#: Steps of Weiszfeld's algorithm, and what change of a weight ends it, relative to the largest.
_MOST_STEPS = 100
_TOLERANCE = 1e-4
#: Who lies this far below the median does not count for the refined centre.
_FAR = 0.5
#: A common direction is one that more than this share of members supports, with this cosine.
_MAJORITY = 0.55
_SUPPORT = 0.4
#: What is left of a vector is 0 below this square.
_NOTHING = 1e-9


@dataclass(frozen=True)
class Consensus:
    """The common direction ``c``.

    Attributes:
        weights: ``(P,)`` float64, ``c = sum_i weights_i M_i``, of length 1.
        cosines: ``(P,)`` float64, ``M_i . c``.
        supporters: ``(P,)`` bool, the members with a cosine above 0.4.
        holds: whether they are more than 55 % of the members.
    """

    weights: Tensor
    cosines: Tensor
    supporters: Tensor
    holds: bool


def find_consensus(gram: Tensor, members: Tensor, *, camps: bool = True) -> Consensus:
    """Return the direction of the geometric median, refined once without who is far from it.

    Of two camps (``camps.py``) it is the median of the larger one, which must be more than 55 % of
    all members all the same.

    Args:
        gram: ``(P, P)`` float64, K.
        members: ``(P,)`` bool, whose median it is, not all False.
        camps: whether to look for camps.
    """
    camp = larger_camp(gram, members) if camps else members
    _, cosines = _direction(gram, camp)
    near = camp & (cosines >= median_of(cosines[camp]) - _FAR)
    weights, cosines = _direction(gram, near)
    supporters = members & (cosines > _SUPPORT)
    holds = int(supporters.sum()) > _MAJORITY * int(members.sum())
    return Consensus(weights, cosines, supporters, holds)


def residuals(gram: Tensor, along: Tensor) -> Tensor:
    """Return ``(P, P)``: the products of ``unit(v_i - (v_i . c) c)``.

    Of who is nothing but the common direction nothing is left, and the products are 0.

    Args:
        gram: ``(P, P)`` float64, the products of unit vectors v.
        along: ``(P,)`` float64, ``v_i . c``.
    """
    rest = gram - along[:, None] * along
    squares = rest.diagonal()
    scale = torch.where(squares > _NOTHING, squares.clamp(min=_NOTHING).rsqrt(), 0.0)
    return rest * scale[:, None] * scale


def geometric_median(gram: Tensor, members: Tensor) -> Tensor:
    """Return the weights, which add up to 1, of the members in their geometric median.

    Weiszfeld's algorithm: each counts with the inverse of its distance to the centre.

    Args:
        gram: ``(P, P)`` float64, the products of unit vectors.
        members: ``(P,)`` bool, not all False.

    Returns:
        ``(P,)`` float64.
    """
    weights = members.double() / members.sum()
    for _ in range(_MOST_STEPS):
        to_centre = gram @ weights
        squares = 1 - 2 * to_centre + weights @ to_centre
        pull = members * squares.clamp(min=1e-12).rsqrt()
        before, weights = weights, pull / pull.sum()
        if float((weights - before).abs().max()) <= _TOLERANCE * float(weights.max()):
            break
    return weights


def _direction(gram: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and cosines of the unit vector along a geometric median."""
    weights = geometric_median(gram, members)
    along = gram @ weights
    length = (weights @ along).clamp(min=1e-24).sqrt()
    return weights / length, along / length
