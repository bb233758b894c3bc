"""Whether the participants are two camps, each of which pulls its own way."""

import torch
from torch import Tensor

#: Fewer in a camp do not make one.
_FEWEST = 3
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
    if m < 2 * _FEWEST:
        return members
    centred = k - k.mean(dim=0) - k.mean(dim=1, keepdim=True) + k.mean()
    axis = torch.linalg.eigh(centred).eigenvectors[:, -1]
    this = axis > 0
    sizes = int(this.sum()), m - int(this.sum())
    if min(sizes) < _FEWEST:
        return members
    within = min(_mean_cosine(k, this), _mean_cosine(k, ~this))
    across = float(k[this][:, ~this].mean())
    if within < _UNITED or across > _APART * within:
        return members
    larger = torch.zeros_like(members)
    larger[places[this if sizes[0] >= sizes[1] else ~this]] = True
    return larger


def _mean_cosine(k: Tensor, camp: Tensor) -> float:
    """Return the mean product of two different members."""
    inside = k[camp][:, camp]
    n = len(inside)
    return float(inside.sum() - inside.diagonal().sum()) / (n * (n - 1))
