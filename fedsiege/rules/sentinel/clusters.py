"""Clusters of updates that have a direction in common and differ from the others.

Both functions project the directions, without their mean, on the axis of the largest variance.
"""

import torch
from torch import Tensor

#: The smallest size of a cluster.
_FEWEST = 3
#: Two clusters are apart if the mean cosine across is below this share of that within.
_APART = 0.5
#: The least mean cosine within each of two clusters.
_UNITED = 0.16

#: The largest share of all members that a minority cluster may have.
_LARGEST = 0.45
#: The least ratio of the first to the second eigenvalue, and the least distance of the two groups
#: on the first axis, in deviations; and the same for a cluster of which most had no weight before,
#: so that it does not escape by the noise of a round. Among honest participants with few classes
#: the ratio is 1.9 at most.
_RATIO, _RATIO_AGAIN = 1.9, 1.3
_GAP, _GAP_AGAIN = 4.5, 3.5
#: The share of a cluster that must have had no weight before for the second bounds to hold.
_SUSPECTED = 0.8
#: A member's mean cosine with the cluster is at least this share of the cluster's own.
_MEMBER = 0.7
#: How often the members are determined again.
_STEPS = 3


def minority_cluster(gram: Tensor, members: Tensor, suspects: Tensor) -> Tensor:
    """Return the members of a minority that has a direction in common which the others lack.

    The matrix ``(I - 11^T / m) K (I - 11^T / m)`` has the eigenvalues ``l_1 >= l_2 >= ...``.
    Participants with different samples differ along many axes, and ``l_1 / l_2`` is near 1. A
    minority that moves the model its own way adds one long axis. There is a minority cluster if

    - ``l_1 > 1.9 l_2``,
    - the projections on the first axis form two groups (2-means) whose centres are 4.5 deviations
      apart, by Ashman's ``D = sqrt(2) |mu_1 - mu_2| / sqrt(s_1^2 + s_2^2)``,
    - it has 3 members or more, and 45 % of all at most,
    - its mean cosine with the others is below half of that within.

    The cluster is the group of larger mean cosine, without members whose mean cosine with it is
    below 0.7 times its own. The first two bounds are 1.3 and 3.5 if more than 80 % of the cluster
    had no weight when last present.

    Ashman, Bird and Zepf, *Detecting bimodality in astronomical datasets*, 1994.

    Args:
        gram: ``(P, P)`` float64, K, the products of unit vectors.
        members: ``(P,)`` bool, the vectors to consider.
        suspects: ``(P,)`` bool, participants that had no weight when last present.

    Returns:
        ``(P,)`` bool; False for all if there is no such cluster.
    """
    none = torch.zeros_like(members)
    places = members.nonzero().flatten()
    k = gram[places][:, places]
    m = len(places)
    if m < 2 * _FEWEST:
        return none
    values, axes = _principal_axes(k)
    group, gap = _two_groups(axes[:, -1])
    if not _FEWEST <= int(group.sum()) <= m - _FEWEST:
        return none
    if _mean_cosine(k, group) < _mean_cosine(k, ~group):
        group = ~group
    for _ in range(_STEPS):
        near = _cosines_with(k, group) >= _MEMBER * _mean_cosine(k, group)
        if torch.equal(near, group) or int(near.sum()) < _FEWEST:
            break
        group = near
    if int(group.sum()) > _LARGEST * m:
        return none
    again = float(suspects[places[group]].double().mean()) > _SUSPECTED
    ratio, least_gap = (_RATIO_AGAIN, _GAP_AGAIN) if again else (_RATIO, _GAP)
    if values[-1] <= ratio * values[-2] or gap <= least_gap:
        return none
    if float(k[group][:, ~group].mean()) >= _APART * _mean_cosine(k, group):
        return none
    cluster = none.clone()
    cluster[places[group]] = True
    return cluster


def larger_cluster(gram: Tensor, members: Tensor) -> Tensor:
    """Return the larger of two clusters; all members if they do not form two.

    A centre of all members lies between two clusters and is far from neither. The members are split
    by the sign of the first eigenvector of ``(I - 11^T / m) K (I - 11^T / m)``. They form two
    clusters if each has 3 members or more, the mean cosine within each is 0.16 or more, and the
    mean cosine across is at most half of that.

    Args:
        gram: ``(P, P)`` float64, K, the products of unit vectors.
        members: ``(P,)`` bool, the vectors to consider, not all False.

    Returns:
        ``(P,)`` bool.
    """
    places = members.nonzero().flatten()
    k = gram[places][:, places]
    m = len(places)
    if m < 2 * _FEWEST:
        return members
    _, axes = _principal_axes(k)
    group = axes[:, -1] > 0
    sizes = int(group.sum()), m - int(group.sum())
    if min(sizes) < _FEWEST:
        return members
    within = min(_mean_cosine(k, group), _mean_cosine(k, ~group))
    across = float(k[group][:, ~group].mean())
    if within < _UNITED or across > _APART * within:
        return members
    larger = torch.zeros_like(members)
    larger[places[group if sizes[0] >= sizes[1] else ~group]] = True
    return larger


def _principal_axes(k: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, ascending, and eigenvectors of the products without the mean.

    Args:
        k: ``(m, m)`` float64, the products of m vectors.

    Returns:
        ``(m,)``, and ``(m, m)`` with one eigenvector in each column.
    """
    centred = k - k.mean(dim=0) - k.mean(dim=1, keepdim=True) + k.mean()
    values, vectors = torch.linalg.eigh(centred)
    return values, vectors


def _cosines_with(k: Tensor, group: Tensor) -> Tensor:
    """Return ``(m,)``: the mean product of each vector with the members of a group but itself.

    Args:
        k: ``(m, m)`` float64, the products of unit vectors.
        group: ``(m,)`` bool, two at least.
    """
    weights = group.double()
    return (k @ weights - k.diagonal() * weights) / (weights.sum() - weights)


def _mean_cosine(k: Tensor, group: Tensor) -> float:
    """Return the mean product of two different members of a group."""
    return float(_cosines_with(k, group)[group].mean())


def _two_groups(numbers: Tensor) -> tuple[Tensor, float]:
    """Split numbers into two groups with the least sum of squared deviations.

    Args:
        numbers: ``(m,)`` float64.

    Returns:
        ``(m,)`` bool, the upper group; and Ashman's D.
    """
    ascending, order = numbers.sort()
    m = len(numbers)
    count = torch.arange(1, m, dtype=torch.float64)
    sums, squares = ascending.cumsum(0), ascending.square().cumsum(0)
    left = squares[:-1] - sums[:-1].square() / count
    right = squares[-1] - squares[:-1] - (sums[-1] - sums[:-1]).square() / (m - count)
    n = int((left + right).argmin()) + 1
    variances = left[n - 1] / max(1, n - 1) + right[n - 1] / max(1, m - n - 1)
    between = ascending[n:].mean() - ascending[:n].mean()
    upper = torch.zeros(m, dtype=torch.bool)
    upper[order[n:]] = True
    return upper, float((2 / variances.clamp(min=1e-18)).sqrt() * between)
