"""The gap statistic, asked for one thing: whether numbers form more than one cluster."""

import numpy as np
import torch
from torch import Tensor

from fedsiege.numerics.two_means import two_means

#: Sets of uniform numbers that the clustering is compared with.
_REFERENCES = 20


def more_than_one_cluster(numbers: Tensor, random: np.random.Generator) -> bool:
    """Tell whether numbers form more than one cluster.

    With ``W_k`` the sum of squared distances to k cluster means, on numbers brought to [0, 1], and
    ``gap(k) = mean log W_k(uniform) - log W_k``, one cluster is chosen if
    ``gap(1) >= gap(2) - s(2)``, where ``s(2)`` is the standard deviation of ``log W_2(uniform)``
    times ``sqrt(1 + 1 / B)`` over B uniform sets of as many numbers. More clusters need not be
    tried to answer this.

    Tibshirani, Walther and Hastie, *Estimating the number of clusters in a data set via the gap
    statistic*, JRSS B 63, 2001, section 3.

    Args:
        numbers: ``(n,)`` finite; fewer than 3 are one cluster.
        random: draws the uniform numbers.
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
