"""Clusters: 2-means of numbers, the gap statistic, and the majority cluster of HDBSCAN."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: The number of uniform sets that the gap statistic compares with.
_REFERENCES = 20


@dataclass(frozen=True)
class TwoMeans:
    """The best split of each of w rows of numbers into two clusters, all ``(w,)``.

    Attributes:
        boundary: the largest number of the lower cluster.
        lower: int64, the size of the lower cluster, 1 to n - 1.
        gap: float64, the distance of the two means, 0 if all numbers are equal.
        within: float64, the sum of squared distances to the mean of the number's cluster.
        total: float64, the sum of squared distances to the mean of all numbers.
    """

    boundary: Tensor
    lower: Tensor
    gap: Tensor
    within: Tensor
    total: Tensor


def two_means(ordered: Tensor) -> TwoMeans:
    """Return the exact 2-means clustering of each row of sorted numbers.

    On a line the clusters are the numbers left and right of a gap, so all splits can be compared. A
    split after the k-th number reduces the sum of squares by
    ``k (n - k) / n (m_upper - m_lower)^2``; of equally good splits the lowest is returned.

    Args:
        ordered: ``(w, n)``, finite, ascending in each row; n 2 or more.
    """
    n = ordered.shape[1]
    middle = ordered[:, n // 2 : n // 2 + 1].double()
    numbers = ordered.double() - middle  # near 0, where sums keep their digits
    sums = numbers.cumsum(dim=1)
    total = sums[:, -1:]
    count = torch.arange(1, n, dtype=torch.float64, device=ordered.device)
    gaps = (total - sums[:, :-1]) / (n - count) - sums[:, :-1] / count
    gains = gaps.square() * count * (n - count) / n
    gain, best = gains.max(dim=1)
    squares = (numbers - total / n).square().sum(dim=1)
    return TwoMeans(
        boundary=ordered.gather(1, best[:, None])[:, 0],
        lower=best + 1,
        gap=gaps.gather(1, best[:, None])[:, 0].clamp(min=0),
        within=(squares - gain).clamp(min=0),
        total=squares,
    )


def more_than_one_cluster(numbers: Tensor, random: np.random.Generator) -> bool:
    """Return whether numbers form more than one cluster, by the gap statistic.

    With ``W_k`` the sum of squared distances to k cluster means, on numbers brought to [0, 1], and
    ``gap(k) = mean log W_k(uniform) - log W_k``, one cluster is chosen if
    ``gap(1) >= gap(2) - s(2)``, where ``s(2)`` is the standard deviation of ``log W_2(uniform)``
    times ``sqrt(1 + 1 / B)`` over B uniform sets of as many numbers. More than two clusters need
    not be tried for this.

    Tibshirani, Walther and Hastie, *Estimating the number of clusters in a data set via the gap
    statistic*, JRSS B 63, 2001, section 3.

    Args:
        numbers: ``(n,)`` finite; fewer than 3 are one cluster.
        random: the generator of the uniform numbers.
    """
    ordered = numbers.double().cpu().sort().values
    n = len(ordered)
    if n < 3 or ordered[0] == ordered[-1]:
        return False
    ordered = (ordered - ordered[0]) / (ordered[-1] - ordered[0])
    uniform = torch.from_numpy(np.sort(random.random((_REFERENCES, n)), axis=1))
    found, expected = two_means(ordered[None]), two_means(uniform)
    # 1e-30: with n = 3, or few distinct numbers, two clusters can leave no distance at all.
    logs_one, logs_two = expected.total.log(), expected.within.clamp(min=1e-30).log()
    gap_one = logs_one.mean() - found.total.log()
    gap_two = logs_two.mean() - found.within.clamp(min=1e-30).log()
    doubt = logs_two.std(correction=0) * (1 + 1 / _REFERENCES) ** 0.5
    return bool(gap_one < gap_two - doubt)


def majority_cluster(distances: Tensor) -> Tensor:
    """Return ``(n,)`` bool: the members of the densest cluster of more than half of all points.

    HDBSCAN finds exactly one such cluster: as the distance threshold falls, points leave the
    cluster of all points until the next step would leave half of them or fewer. One or two points
    are one cluster.

    Campello, Moulavi and Sander, *Density-based clustering based on hierarchical density
    estimates*, PAKDD 2013.

    Args:
        distances: ``(n, n)``, 0 or more, symmetric, on the CPU.
    """
    n = len(distances)
    if n < 3:
        return torch.ones(n, dtype=torch.bool)
    from sklearn.cluster import HDBSCAN  # late: its import takes a second

    clusters = HDBSCAN(
        min_cluster_size=n // 2 + 1,
        min_samples=1,
        metric="precomputed",
        allow_single_cluster=True,
        copy=True,
    ).fit(distances.clamp(min=0).numpy())
    return torch.from_numpy(clusters.labels_ == 0)
