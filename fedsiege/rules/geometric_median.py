"""Geometric median, also called RFA."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.numerics.cosines import products_with
from fedsiege.numerics.distances import distances_to, renew_extremes
from fedsiege.numerics.matrix import column_blocks
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext

#: It has converged when the unit vectors from it to the n rows add up to less than n times this.
TOLERANCE = 1e-5
#: Distances below this share of their median count as that: a row has no infinite weight.
_SMALLEST = 1e-6
#: Every so many steps it is looked for on a ray, see ``_on_ray``; mostly it is found sooner.
_PATIENCE = 25
#: Steps below this share of the mean length of what is averaged are rounding errors of float32.
_RESOLUTION = 2.0**-22
#: Never seen to be reached.
_MOST_STEPS = 10_000
#: Halvings of a stretch of the ray: as many as a float64 has bits.
_HALVINGS = 53
#: Numbers of a block: 4 MiB of float32.
_BLOCK = 2**20


@registry.register
@dataclass(frozen=True)
class GeometricMedian(Rule):
    r"""The point with the smallest sum of distances to all updates.

    .. math::
        \operatorname*{arg\,min}_{z \in \mathbb{R}^d} \sum_{i=1}^n \lVert g_i - z \rVert

    It is found by Weiszfeld's algorithm,

    .. math::
        z \leftarrow \frac{\sum_i g_i / r_i}{\sum_i 1 / r_i}, \qquad r_i = \lVert g_i - z \rVert

    from :math:`z = 0`, the update that changes nothing. It runs until the optimality condition
    holds, :math:`\lVert \sum_i (g_i - z) / r_i \rVert \le 10^{-5}\, n`, and not for a fixed number
    of steps: the three steps often seen are too few. :math:`r_i` is at least 1e-6 of the median
    distance from 0, as in the paper's smoothing, so that z does not stay at a row that it meets.
    Where a row pulls about as strongly as all others together, z takes thousands of steps towards
    it or away from it, and an attacker can cause that: every 25 steps z therefore goes to the best
    point on the ray from the nearest row through it. Where rows lie so close together that float32
    does not separate z from them, it ends when steps are as small as rounding errors.

    It takes no f; hostile updates that are fewer than half cannot move it arbitrarily far. All
    participants weigh the same: the sample counts they report are claims. Cost: :math:`O(n d)` for
    each step.

    Source:
        Krishna Pillutla, Sham M. Kakade, Zaid Harchaoui. `Robust Aggregation for Federated Learning
        <https://arxiv.org/abs/1912.13445>`_. IEEE Transactions on Signal Processing 70, 2022,
        algorithm 2. It is also called RFA.
    """

    name: ClassVar[str] = "geometric-median"
    summary: ClassVar[str] = "point with the smallest sum of distances to all updates"

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, the scores are the distances to the median."""
        n, d = updates.shape
        point = torch.zeros(d, device=updates.device)
        norms = distances = distances_to(updates)
        looked = False
        smallest = max(_SMALLEST * float(distances.median()), torch.finfo(torch.float32).tiny)
        for number in range(1, _MOST_STEPS + 1):
            pull = 1 / distances.clamp(min=smallest)
            weights = pull / pull.sum()
            step, distances = _step(updates, weights, point)
            if step * float(pull.sum()) <= TOLERANCE * n:
                break
            unresolved = step <= _RESOLUTION * float(weights @ norms)
            if unresolved and looked:
                break
            looked |= unresolved
            if unresolved or number % _PATIENCE == 0:
                point = _on_ray(updates, int(distances.argmin()), point, smallest)
                distances = distances_to(updates, point)
        return Aggregation(point, torch.ones(n, dtype=torch.bool), distances)


def _on_ray(updates: Tensor, row: int, point: Tensor, smallest: float) -> Tensor:
    """Return the point of the smallest sum of distances on the ray from a row through a point.

    On the ray the distances are those of a plane: with e its direction, ``a_i = (g_i - g) e`` and
    ``b_i = ||g_i - g||``, at s from the row they are ``sqrt(b_i^2 - 2 s a_i + s^2)``.
    """
    start = updates[row].float()
    way = point - start
    length = float(renew_extremes(way.norm().double().cpu()[None], way[None]))
    if not 0 < length < torch.inf:
        return point
    beyond_float32 = length > torch.finfo(torch.float32).max
    way = (way.double() / length).float() if beyond_float32 else way / length
    along = products_with(updates, way) - float(start.double() @ way.double())
    squares = distances_to(updates, start).square()

    def uphill(s: float) -> bool:
        rest = (squares - 2 * s * along + s * s).clamp(min=smallest * smallest).sqrt()
        return float(((s - along) / rest).sum()) > 0

    near, far = 0.0, max(float(along.max()), length)  # beyond all, it is uphill
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        near, far = (near, middle) if uphill(middle) else (middle, far)
    return start + near * way


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
    return float(moved.sqrt()), renew_extremes(squares.sqrt().cpu(), updates, point)
