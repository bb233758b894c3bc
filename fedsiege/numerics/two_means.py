"""2-means of numbers, exact: on a line the clusters are what lies left and right of a gap."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TwoMeans:
    """The best split of each row of numbers, all ``(w,)``.

    Attributes:
        boundary: the greatest number of the lower cluster; what is greater is in the upper one.
        lower: int64, how many numbers the lower cluster has, 1 to n - 1.
        gap: float64, distance of the two means, 0 where all numbers are equal.
        within: float64, sum of the squared distances to the mean of the own cluster.
        total: float64, sum of the squared distances to the mean of all.
    """

    boundary: Tensor
    lower: Tensor
    gap: Tensor
    within: Tensor
    total: Tensor


def two_means(ordered: Tensor) -> TwoMeans:
    """Split each row of ``(w, n)`` sorted finite numbers, n 2 or more; no start, no local minimum.

    A split after the k-th number takes ``k (n - k) / n (m_upper - m_lower)^2`` off the sum of
    squares; of equally good splits the lowest is taken.
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
