"""Tests and weights by direction: energy, consensus, direction, similarity.

K are the products ``M_i . M_j`` of the pool's unit vectors. A direction is given by the weights of
the unit vectors that add up to it, so that its products follow from K.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.numerics.means import median_of
from fedsiege.rules.sentinel.clusters import larger_cluster

#: The most updates that one is compared with by energy. More cost time and change little.
PEERS = 64
#: The pool is divided into this many parts, and each is compared with the others. Leaving out each
#: update alone would take a decomposition per update.
_FOLDS = 8
#: The largest dimension of the subspace.
_DIRECTIONS = 10
#: With this many others or fewer there is no energy.
_LEAST = 4
#: The smallest eigenvalue that has a direction.
_NO_ENERGY = 1e-9
#: An update is flagged below this share of the median energy, and below this energy.
_SHARE, _ALONE = 0.2, 0.06

#: The most steps of Weiszfeld's algorithm, and the relative change of a weight that ends it.
_MOST_STEPS = 100
_TOLERANCE = 1e-4
#: The second estimate of the centre leaves out members this far below the median cosine.
_FAR = 0.5
#: The share of members that must support a consensus, and the least cosine of a supporter.
_MAJORITY = 0.55
_SUPPORT = 0.4
#: A residual is zero if its square is below this.
_NO_RESIDUAL = 1e-9

#: How far below the supporters' median cosine an update is flagged.
_BELOW_CONSENSUS = 0.35
#: How far below the median cosine with the centre an update or a momentum is flagged, and the
#: largest cosine of a flagged momentum.
_BELOW_CENTRE = 0.5
_AWAY = -0.1

#: Exponent of a cosine. With 2, a minority with cosines of 0.2 keeps most of its weight; with 1,
#: honest participants with little in common lose weight, too.
_COSINE = 1.5
#: Exponent of the sum of similar updates. Above 1, k similar updates weigh less than one. From 1.5
#: on, few dissimilar updates determine the model, and training may stall.
_CLUSTER = 1.2

#: Returns the cosines of all updates, and of all momenta, with a weighted sum of updates.
CosinesWith = Callable[[Tensor], tuple[Tensor, Tensor]]


def energies(cosines: Tensor, candidates: Tensor, order: Tensor) -> Tensor:
    """Return the energy of each unit update in the main directions of other updates.

    ``e_i = ||V_k u_i||^2`` with V_k the first ``k = min(10, |O_i| / 2)`` right singular vectors of
    the rows O_i: up to 64 candidates, none of them in the same eighth of the pool as i. With the
    eigenvectors ``x_l`` and eigenvalues ``v_l`` of the Gram matrix of O_i it is
    ``e_i = sum_l (sum_j x_lj <u_j, u_i>)^2 / v_l``.

    Args:
        cosines: ``(P, P)`` float64, ``u_i . u_j``.
        candidates: ``(P,)`` bool, the updates to compare.
        order: ``(P,)`` int64, the order in which O_i is filled.

    Returns:
        ``(P,)`` float64 in [0, 1]; NaN for updates that are not candidates, or if there are 4
        candidates or fewer.
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
        inverse = torch.where(values > _NO_ENERGY, 1 / values, 0.0)[-k:]
        found[rows] = (cosines[rows][:, others] @ vectors[:, -k:]).square() @ inverse
    return found


def energy_flags(found: Tensor) -> Tensor:
    """Flag updates whose energy is below 0.2 of the median and below 0.06.

    Noise has an energy of about k divided by the number of free directions. An honest update of a
    class that no other participant has is low in energy, too, but has more than that.

    Args:
        found: ``(P,)``, the energies, NaN where there is none.

    Returns:
        ``(P,)`` bool.
    """
    compared = found.isfinite()
    if not compared.any():
        return compared
    return compared & (found < min(_SHARE * median_of(found[compared]), _ALONE))


@dataclass(frozen=True)
class Consensus:
    """The common direction ``c`` of the momenta.

    Attributes:
        weights: ``(P,)`` float64, ``c = sum_i weights_i M_i``, of length 1.
        cosines: ``(P,)`` float64, ``M_i . c``.
        supporters: ``(P,)`` bool, the members with a cosine above 0.4.
        holds: whether more than 55 % of the members are supporters. If not, c is not used.
    """

    weights: Tensor
    cosines: Tensor
    supporters: Tensor
    holds: bool


def find_consensus(gram: Tensor, members: Tensor, *, split: bool = True) -> Consensus:
    """Return the direction of the geometric median of the members.

    It is computed twice, the second time without members whose cosine is 0.5 below the median. If
    the members form two clusters, it is the median of the larger one, but more than 55 % of all
    members must support it.

    Args:
        gram: ``(P, P)`` float64, K.
        members: ``(P,)`` bool, not all False.
        split: whether to look for two clusters.
    """
    cluster = larger_cluster(gram, members) if split else members
    _, cosines = _direction(gram, cluster)
    near = cluster & (cosines >= median_of(cosines[cluster]) - _FAR)
    weights, cosines = _direction(gram, near)
    supporters = members & (cosines > _SUPPORT)
    holds = int(supporters.sum()) > _MAJORITY * int(members.sum())
    return Consensus(weights, cosines, supporters, holds)


def geometric_median(gram: Tensor, members: Tensor) -> Tensor:
    """Return the weights of the members in their geometric median, which add up to 1.

    Weiszfeld's algorithm: the weight of a member is the inverse of its distance to the centre.

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


def residuals(gram: Tensor, along: Tensor) -> Tensor:
    """Return ``(P, P)``: the products of ``unit(v_i - (v_i . c) c)``, 0 where nothing is left.

    Args:
        gram: ``(P, P)`` float64, the products of unit vectors v.
        along: ``(P,)`` float64, ``v_i . c``.
    """
    rest = gram - along[:, None] * along
    squares = rest.diagonal()
    scale = torch.where(squares > _NO_RESIDUAL, squares.clamp(min=_NO_RESIDUAL).rsqrt(), 0.0)
    return rest * scale[:, None] * scale


def against_consensus(along: Tensor, candidates: Tensor, consensus: Consensus) -> Tensor:
    """Flag updates with ``u_i . c`` below the supporters' median less 0.35.

    Args:
        along: ``(P,)`` float64, ``u_i . c``.
        candidates: ``(P,)`` bool, the updates to test.
        consensus: a consensus that holds.

    Returns:
        ``(P,)`` bool.
    """
    return candidates & (along < median_of(along[consensus.supporters]) - _BELOW_CONSENSUS)


def against_centre(cosines_with: CosinesWith, candidates: Tensor, weights: Tensor) -> Tensor:
    """Flag updates that point away from the weighted centre, if there is no consensus.

    With ``q = unit(sum_j a_j u_j)`` over the candidates, an update is flagged if
    ``u_i . q < median - 0.5`` or ``M_i . q < min(median - 0.5, -0.1)``. This is repeated once with
    a centre without the flagged updates.

    Args:
        cosines_with: returns the cosines with a weighted sum of updates.
        candidates: ``(P,)`` bool, the updates to test.
        weights: ``(P,)`` float64, a.

    Returns:
        ``(P,)`` bool.
    """
    flags = torch.zeros_like(candidates)
    for _ in range(2):
        updates, momenta = cosines_with(weights * (candidates & ~flags))
        now = updates < median_of(updates[candidates]) - _BELOW_CENTRE
        past = momenta < min(median_of(momenta[candidates]) - _BELOW_CENTRE, _AWAY)
        flags = candidates & (now | past)
        if flags.sum() == candidates.sum():
            break
    return flags


def similarity_weights(products: Tensor, members: Tensor, *, steep: bool = True) -> Tensor:
    """Return ``a_i = 1 / max(1, sum_j max(0, r_i . r_j)^1.5)^1.2`` over the members j, i included.

    k vectors of one direction get ``k^-1.2`` each, together less than one vector at right angles to
    all others. This bounds a hidden minority without knowing its members.

    Args:
        products: ``(P, P)`` float64, ``r_i . r_j``.
        members: ``(P,)`` bool.
        steep: False for ``1 / max(1, sum_j max(0, r_i . r_j)^2)``, with which k vectors of one
            direction weigh together as much as one.

    Returns:
        ``(P,)`` float64 in (0, 1].
    """
    cosine, cluster = (_COSINE, _CLUSTER) if steep else (2.0, 1.0)
    similar = products.clamp(min=0).pow(cosine) @ members.double()
    return similar.clamp(min=1).pow(-cluster)


def _direction(gram: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and cosines of the unit vector along a geometric median."""
    weights = geometric_median(gram, members)
    along = gram @ weights
    length = (weights @ along).clamp(min=1e-24).sqrt()
    return weights / length, along / length
