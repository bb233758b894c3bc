"""Whether a minority pulls one way of its own."""

import torch
from torch import Tensor

from fedsiege.rules.sentinel.camps import FEWEST, cosines_with, mean_cosine, without_mean

#: A larger share of everyone does not make one.
_LARGEST = 0.45
#: By how much the first axis must stand out from the second, and the two sides of it from each
#: other: of who was not suspected before, and of who was. Where honest participants have few
#: classes the first axis is at most 1.9 times the second; who is caught once must not slip away
#: by the noise of a round.
_AXIS, _AXIS_AGAIN = 1.9, 1.3
_GAP, _GAP_AGAIN = 4.5, 3.5
#: A faction is suspected when more than this share of it had no weight when last here.
_SUSPECTED = 0.8
#: Who has less than this share of what its members have in common is no member; and a faction has
#: less than that share in common with the rest.
_MEMBER, _APART = 0.7, 0.5
#: How often members are counted anew.
_STEPS = 3


def find_faction(gram: Tensor, members: Tensor, suspects: Tensor) -> Tensor:
    """Return who belongs to a minority that is united, and apart from all others.

    To move the model its own way, a minority must have something in common that no chance gives.
    What is left of directions without their mean, ``(I - 11^T / m) K (I - 11^T / m)``, has the
    eigenvalues ``l_1 >= l_2 >= ...``: participants with different samples differ along many axes,
    and ``l_1 / l_2`` is near 1. There is a faction if ``l_1 > 1.9 l_2`` and the places on that axis
    fall into two heaps (two means) of which the centres are 4.5 deviations apart, by Ashman's
    ``D = sqrt(2) |mu_1 - mu_2| / sqrt(s_1^2 + s_2^2)``; 1.3 and 3.5 if most of it had no weight
    when last seen. It is the more united side, without those whose mean cosine with it is below
    0.7 times its own, if that is 3 to 45 % of all; and if its mean cosine with the others is below
    half its own.

    Below these bounds a hidden minority differs from the rest no more than honest participants do
    among themselves, and the weights bound what it may do.

    D: Ashman, Bird and Zepf, "Detecting bimodality in astronomical datasets", 1994.

    Args:
        gram: ``(P, P)`` float64, K, the products of unit vectors.
        members: ``(P,)`` bool, those it looks among.
        suspects: ``(P,)`` bool, who had no weight when last seen.

    Returns:
        ``(P,)`` bool.
    """
    nobody = torch.zeros_like(members)
    places = members.nonzero().flatten()
    k = gram[places][:, places]
    m = len(places)
    if m < 2 * FEWEST:
        return nobody
    values, axes = without_mean(k)
    side, gap = _two_heaps(axes[:, -1])
    if not FEWEST <= int(side.sum()) <= m - FEWEST:
        return nobody
    if mean_cosine(k, side) < mean_cosine(k, ~side):
        side = ~side
    for _ in range(_STEPS):
        near = cosines_with(k, side) >= _MEMBER * mean_cosine(k, side)
        if torch.equal(near, side) or int(near.sum()) < FEWEST:
            break
        side = near
    if int(side.sum()) > _LARGEST * m:
        return nobody
    again = float(suspects[places[side]].double().mean()) > _SUSPECTED
    axis, apart = (_AXIS_AGAIN, _GAP_AGAIN) if again else (_AXIS, _GAP)
    if values[-1] <= axis * values[-2] or gap <= apart:
        return nobody
    if float(k[side][:, ~side].mean()) >= _APART * mean_cosine(k, side):
        return nobody
    faction = nobody.clone()
    faction[places[side]] = True
    return faction


def _two_heaps(places: Tensor) -> tuple[Tensor, float]:
    """Split numbers into two heaps so that their squared deviations add up to the least.

    Args:
        places: ``(m,)`` float64.

    Returns:
        ``(m,)`` bool, one of the heaps; and Ashman's D.
    """
    ascending, order = places.sort()
    m = len(places)
    count = torch.arange(1, m, dtype=torch.float64)
    sums, squares = ascending.cumsum(0), ascending.square().cumsum(0)
    left = squares[:-1] - sums[:-1].square() / count
    right = squares[-1] - squares[:-1] - (sums[-1] - sums[:-1]).square() / (m - count)
    n = int((left + right).argmin()) + 1
    variances = left[n - 1] / max(1, n - 1) + right[n - 1] / max(1, m - n - 1)
    between = ascending[n:].mean() - ascending[:n].mean()
    heap = torch.zeros(m, dtype=torch.bool)
    heap[order[n:]] = True
    return heap, float((2 / variances.clamp(min=1e-18)).sqrt() * between)
