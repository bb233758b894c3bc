"""HDBSCAN, asked for one thing: the cluster that a majority forms."""

import torch
from torch import Tensor


def majority_cluster(distances: Tensor) -> Tensor:
    """Return ``(n,)`` bool: who belongs to the densest cluster of more than half of all.

    No two such clusters can exist, and there always is one: as the reach of a cluster of all points
    shrinks, points leave it until the next step would leave half or less: those still in it are it.
    One point alone is a cluster, two are one if they coincide or not: each is as near to the other
    as any.

    Args:
        distances: ``(n, n)`` 0 or more, symmetric, on the CPU.
    """
    n = len(distances)
    if n < 3:
        return torch.ones(n, dtype=torch.bool)
    from sklearn.cluster import HDBSCAN  # late: it costs a second to import

    clusters = HDBSCAN(
        min_cluster_size=n // 2 + 1,
        min_samples=1,
        metric="precomputed",
        allow_single_cluster=True,
        copy=True,
    ).fit(distances.clamp(min=0).numpy())
    return torch.from_numpy(clusters.labels_ == 0)
