"""Who is alone with its direction: the energy of an update in the main directions of the others."""

import torch
from torch import Tensor

from fedsiege.numerics.means import median_of

#: Others that one is compared with: more cost time and tell nothing new.
PEERS = 64
#: Parts of the pool; who is in one is compared with those of the others. Not with all but itself:
#: that would take a decomposition for each.
_FOLDS = 8
#: Dimensions of the subspace, at most.
_DIRECTIONS = 10
#: Fewer others tell nothing.
_LEAST = 4
#: Where there is so little, there is no direction.
_NOTHING = 1e-9
#: Below this share of the median, and below this energy, one is alone.
_SHARE, _ALONE = 0.2, 0.06


def energies(cosines: Tensor, candidates: Tensor, order: Tensor) -> Tensor:
    """Return the energy of each unit update in the main directions of some others.

    ``e_i = ||V_k u_i||^2`` with V_k the first ``k = min(10, |O_i| / 2)`` right singular vectors of
    the rows O_i: up to 64 candidates, none from the eighth of the pool that i is in. It takes their
    products alone: with the eigenvectors ``x_l`` and eigenvalues ``v_l`` of the Gram matrix of O_i,
    ``e_i = sum_l (sum_j x_lj <u_j, u_i>)^2 / v_l``.

    Args:
        cosines: ``(P, P)`` float64.
        candidates: ``(P,)`` bool, who is judged, and compared with.
        order: ``(P,)`` int64, the order in which they are asked to be compared with.

    Returns:
        ``(P,)`` float64 in [0, 1]; NaN for who is no candidate, or has fewer than 4 others.
    """
    found = torch.full((len(cosines),), torch.nan, dtype=torch.float64)
    ranked = order[candidates[order]]
    if len(ranked) <= _LEAST:
        return found
    for fold in range(_FOLDS):
        rows = ranked[fold::_FOLDS]
        others = ranked[~torch.isin(ranked, rows)][:PEERS]
        k = min(_DIRECTIONS, len(others) // 2)
        values, vectors = torch.linalg.eigh(cosines[others][:, others])
        inverse = torch.where(values > _NOTHING, 1 / values, 0.0)[-k:]
        found[rows] = (cosines[rows][:, others] @ vectors[:, -k:]).square() @ inverse
    return found


def energy_flags(found: Tensor) -> Tensor:
    """Flag whose energy is below 0.2 of the median, and below 0.06.

    Noise has ``k`` parts in as many as there are free directions, whatever the others do. Who alone
    has some class has little in common with those that crowd together, but more than that.

    Args:
        found: ``(P,)`` with NaN for those that are not judged.

    Returns:
        ``(P,)`` bool.
    """
    judged = found.isfinite()
    if not judged.any():
        return judged
    return judged & (found < min(_SHARE * median_of(found[judged]), _ALONE))
