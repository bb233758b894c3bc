"""Nearest neighbour mixing."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.distances import products, squared_distances
from fedsiege.numerics.matrix import column_blocks
from fedsiege.rules.context import RoundContext
from fedsiege.rules.pre.base import Mixed, TolerantPreAggregator, registry

#: Numbers of a block of columns that is mixed at a time: 1 MiB of float32.
_BLOCK = 2**18
#: Rows whose neighbours are sorted at a time.
_TILE = 64


@registry.register
@dataclass(frozen=True)
class NNM(TolerantPreAggregator):
    r"""Replaces each update by the mean of the ``n - f`` updates nearest to it, itself among them.

    .. math::
        g_i \leftarrow \frac{1}{n - f} \sum_{j \in N_i} g_j

    where :math:`N_i` holds the ``n - f`` rows with the smallest distances
    :math:`\lVert g_i - g_j \rVert`, row i among them.

    It needs :math:`f < n`. Cost: :math:`O(n^2 d)`. The means are one product with an n x n matrix
    of 0 and ``1 / (n - f)``: no ``(n, n, d)`` numbers are held.

    Source:
        Youssef Allouah, Sadegh Farhadkhani, Rachid Guerraoui, Nirupam Gupta, Rafaël Pinot, John
        Stephan. `Fixing by Mixing: A Recipe for Optimal Byzantine ML under Heterogeneity
        <https://arxiv.org/abs/2302.01772>`_. AISTATS 2023, section 3.
    """

    name: ClassVar[str] = "nnm"
    summary: ClassVar[str] = "replaces each update by the mean of the n - f updates nearest to it"

    def check(self, n: int) -> None:
        """Raise UnfitRound unless more than f updates are there."""
        if n <= self.tolerated:
            raise UnfitRound(
                f"{self.name} with f={self.f} needs more than {self.f} updates, there are {n}"
            )

    def transform(self, updates: Tensor, context: RoundContext) -> Mixed:
        """Mix the updates; the context is not used."""
        n = len(updates)
        count = n - self.tolerated
        members = nearest(squared_distances(updates), count)
        # Not 0 and 1: the sum of large updates could be infinite.
        shares = members.float().div_(count)
        return Means(updates, members, torch.arange(n), shares.to(updates.device))


@dataclass(frozen=True)
class Means(Mixed):
    """Weighted means of the updates.

    Attributes:
        shares: ``(m, n)`` float32 on the device of the updates, those of each row add up to 1.
    """

    shares: Tensor

    def write(self, updates: Tensor, rows: Tensor) -> None:
        """Multiply matrices, block by block."""
        n, d = updates.shape
        limit = torch.finfo(torch.float32).max
        for columns in column_blocks(d, max(1, _BLOCK // n)):
            block = updates[:, columns].float().T.contiguous()
            rows[:, columns] = products(self.shares, block).clamp_(-limit, limit)


def nearest(distances: Tensor, count: int) -> Tensor:
    """Return ``(n, n)`` bool on the CPU: the ``count`` rows nearest to each row.

    Args:
        distances: ``(n, n)`` float64.
        count: 1 or more.
    """
    members = torch.zeros_like(distances, dtype=torch.bool)
    for i, tile in enumerate(torch.split(distances, _TILE)):  # small temporaries
        order = tile.clone()
        # A row is the nearest to itself, also among others that are equal to it.
        order.diagonal(i * _TILE).fill_(-1)
        chosen = torch.from_numpy(order.numpy().argsort(axis=1, kind="stable")[:, :count])
        members[i * _TILE : i * _TILE + len(tile)].scatter_(1, chosen, True)
    return members
