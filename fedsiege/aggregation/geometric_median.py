"""Geometric median, also called RFA."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.aggregation.base import Aggregation, Rule, catalogue
from fedsiege.aggregation.context import RoundContext
from fedsiege.aggregation.distances import distances_to
from fedsiege.aggregation.matrix import column_blocks

#: It has converged when the unit vectors from it to the n rows add up to less than n times this.
TOLERANCE = 1e-5
#: Distances below this share of their median count as that: a row has no infinite weight.
_SMALLEST = 1e-6
#: Reached only where the optimum lies on a row that pulls hardly more than all others together.
_MOST_STEPS = 10_000
#: Numbers of a block: 4 MiB of float32.
_BLOCK = 2**20


@catalogue.register
@dataclass(frozen=True)
class GeometricMedian(Rule):
    """The point with the smallest sum of L2 distances to all updates.

    Weiszfeld's algorithm: ``z <- sum_i g_i / r_i / sum_i 1 / r_i`` with ``r_i = ||g_i - z||``, from
    ``z = 0``, the update that changes nothing. It runs until the optimality condition holds,
    ``||sum_i (g_i - z) / r_i|| <= 1e-5 n``, and not for a fixed number of steps: three, as often
    seen, are too few. ``r_i`` is at least 1e-6 of the median distance from 0, as in the paper's
    smoothing; so a row that z falls on cannot hold it there.

    All participants weigh the same: the sample counts they report are their own words.

    Pillutla, Kakade, Harchaoui, *Robust Aggregation for Federated Learning*, IEEE Transactions on
    Signal Processing 2022, algorithm 2.
    """

    name: ClassVar[str] = "geometric-median"
    summary: ClassVar[str] = "the point with the smallest sum of distances to all updates"

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, the scores are the distances to the median."""
        n, d = updates.shape
        point = torch.zeros(d, device=updates.device)
        distances = distances_to(updates)
        smallest = max(_SMALLEST * float(distances.median()), torch.finfo(torch.float32).tiny)
        for _ in range(_MOST_STEPS):
            pull = 1 / distances.clamp(min=smallest)
            weights = pull / pull.sum()
            step, distances = _step(updates, weights, point)
            if step * float(pull.sum()) <= TOLERANCE * n:
                break
        return Aggregation(point, torch.ones(n, dtype=torch.bool), distances)


def _step(updates: Tensor, weights: Tensor, point: Tensor) -> tuple[float, Tensor]:
    """Move the point, in place, to the weighted mean of the rows; the matrix is read once.

    Returns:
        How far it moved, and ``(n,)`` float64 on the CPU, the distances of the rows to where it is.
    """
    n, d = updates.shape
    width = max(1, _BLOCK // n)
    factors = weights.to(updates.device, torch.float32)
    buffer = torch.empty(n, min(width, d), device=updates.device)
    squares = torch.zeros(n, dtype=torch.float64, device=updates.device)
    moved = torch.zeros((), dtype=torch.float64, device=updates.device)
    for columns in column_blocks(d, width):
        block = updates[:, columns].float()
        middle = factors @ block
        moved += (middle - point[columns]).double().square().sum()
        point[columns] = middle
        room = buffer[:, : columns.stop - columns.start]
        torch.sub(block, middle, out=room)
        squares += torch.linalg.vector_norm(room, dim=1).double().square()
    distances = squares.sqrt().cpu()
    if distances.isinf().any():  # squares beyond float32
        distances = distances_to(updates, point)
    return float(moved.sqrt()), distances
