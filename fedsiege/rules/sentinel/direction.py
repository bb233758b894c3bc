"""Who points away from the rest."""

from collections.abc import Callable

import torch
from torch import Tensor

from fedsiege.numerics.means import median_of
from fedsiege.rules.sentinel.consensus import Consensus

#: The cosines of all updates, and of all momenta, with a weighted sum of updates.
CosinesWith = Callable[[Tensor], tuple[Tensor, Tensor]]


def against_consensus(along: Tensor, candidates: Tensor, consensus: Consensus) -> Tensor:
    """Flag who is far below the supporters of the common direction: their median less 0.35.

    Args:
        along: ``(P,)`` float64, ``u_i . c``.
        candidates: ``(P,)`` bool, who is judged.
        consensus: it holds.

    Returns:
        ``(P,)`` bool.
    """
    return candidates & (along < median_of(along[consensus.supporters]) - 0.35)


def against_centre(cosines_with: CosinesWith, candidates: Tensor, weights: Tensor) -> Tensor:
    """Flag who points away from the weighted centre, where there is no common direction.

    ``q = unit(sum_j a_j u_j)`` over the candidates; flagged are those with
    ``u_i . q < median - 0.5`` or ``M_i . q < min(median - 0.5, -0.1)``. Once more, with q without
    those flagged.

    Args:
        cosines_with: of a weighted sum of updates.
        candidates: ``(P,)`` bool, who is judged.
        weights: ``(P,)`` float64, a.

    Returns:
        ``(P,)`` bool.
    """
    flags = torch.zeros_like(candidates)
    for _ in range(2):
        updates, momenta = cosines_with(weights * (candidates & ~flags))
        steps = updates < median_of(updates[candidates]) - 0.5
        paths = momenta < min(median_of(momenta[candidates]) - 0.5, -0.1)
        flags = candidates & (steps | paths)
        if flags.sum() == candidates.sum():
            break
    return flags
