"""Whether the participants are two camps, each of which pulls its own way."""

import torch
from torch import Tensor

#: Fewer in a camp do not make one.
FEWEST = 3
#: Two camps have less than this share of what either has in common, in common with each other.
_APART = 0.5
#: What the members of a camp have in common, at least: the mean cosine between two of them.
_UNITED = 0.16


def larger_camp(gram: Tensor, members: Tensor) -> Tensor:
    """Return the larger of two camps; all members where there are not two.

    A centre of everyone lies between two camps, and neither is far from it. What is left of each
    without the mean then points along one axis, one camp this way and the other that way: the
    first eigenvector of ``(I - 11^T / m) K (I - 11^T / m)``. They are two camps of three or more
    each if the mean cosine within either is above 0.16, and the mean across below half of it.

    Args:
        gram: ``(P, P)`` float64, the products of unit vectors.
        members: ``(P,)`` bool, not all False.

    Returns:
        ``(P,)`` bool.
    """
    places = members.nonzero().flatten()
    k = gram[places][:, places]
    m = len(places)
    if m < 2 * FEWEST:
        return members
    _, axes = without_mean(k)
    this = axes[:, -1] > 0
    sizes = int(this.sum()), m - int(this.sum())
    if min(sizes) < FEWEST:
        return members
    within = min(mean_cosine(k, this), mean_cosine(k, ~this))
    across = float(k[this][:, ~this].mean())
    if within < _UNITED or across > _APART * within:
        return members
    larger = torch.zeros_like(members)
    larger[places[this if sizes[0] >= sizes[1] else ~this]] = True
    return larger


def without_mean(k: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, ascending, and eigenvectors of products of vectors without their mean.

    Args:
        k: ``(m, m)`` float64, the products.

    Returns:
        ``(m,)``, and ``(m, m)`` with one in each column.
    """
    centred = k - k.mean(dim=0) - k.mean(dim=1, keepdim=True) + k.mean()
    values, vectors = torch.linalg.eigh(centred)
    return values, vectors


def cosines_with(k: Tensor, group: Tensor) -> Tensor:
    """Return ``(m,)``: the mean product of each with the members of a group, itself left out.

    Args:
        k: ``(m, m)`` float64, the products of unit vectors.
        group: ``(m,)`` bool, two at least.
    """
    weights = group.double()
    return (k @ weights - k.diagonal() * weights) / (weights.sum() - weights)


def mean_cosine(k: Tensor, group: Tensor) -> float:
    """Return the mean product of two different members of a group, see ``cosines_with``."""
    return float(cosines_with(k, group)[group].mean())
