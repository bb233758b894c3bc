"""The mean of a RunningSum where the matrix is there: the same bits, sooner and on any device."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fedsiege.aggregation.distances import distances_to
from fedsiege.aggregation.matrix import column_blocks, sum_in_float64
from fedsiege.aggregation.running_sum import LARGEST, QUANTUM, RunningSum

#: Columns at a time.
_WIDTH = 2**16
#: Rows that a RunningSum takes at a time.
_ROWS = 64


def exact_mean(updates: Tensor, weights: Sequence[float], masses: Sequence[float]) -> Tensor:
    """Return ``sum_i weights_i g_i / sum_i masses_i``, to the bit what a RunningSum gives.

    The sum is first taken in float64, together with a bound of how far the sum of a RunningSum can
    be from it. Nearly always both ends of that interval are rounded to the same float32, so
    everything between them is. Only the other coordinates, about one of a thousand and those that
    are 0 in all rows, are summed again by a RunningSum.

    Args:
        updates: ``(n, d)`` floating point, finite in float32, in which they are read.
        weights: n numbers; see ``RunningSum.add`` for what it takes.
        masses: n numbers, 0 or more.

    Returns:
        ``(d,)`` float32 on the device of the updates.

    Raises:
        InvalidValue: a number is out of range.
        UnfitRound: the masses add up to nothing.
    """
    n, d = updates.shape
    factors = torch.tensor(weights, dtype=torch.float64)
    # No value is beyond the norm of its row, which is one pass in place of two for the peak. The
    # squares of what is below 1e-18 may be lost.
    terms = factors.abs() * (1.001 * distances_to(updates)).clamp(min=1e-18)
    if not (terms.max() <= LARGEST and all(0 <= mass < math.inf for mass in masses)):
        return _by_running_sum(updates, weights, masses)  # which says what is wrong
    # Of each column n sums are rounded, and a RunningSum rounds n terms to its quantum; 16 are two
    # roundings of each product, of its limbs, of both divisions and of the ends of the interval.
    error = 2.0**-53 * (n + 16) * float(terms.sum()) + 0.5 * n * QUANTUM
    mass = math.fsum(masses)
    mean = torch.empty(d, device=updates.device)
    for columns in column_blocks(d, _WIDTH):
        block = updates[:, columns]
        total = sum_in_float64(block, factors)
        low, high = ((total - error) / mass).float(), ((total + error) / mass).float()
        open_ones = (low.view(torch.int32) != high.view(torch.int32)).nonzero().flatten()
        for some in torch.split(open_ones, max(1, d // 8)) if len(open_ones) > 0 else ():
            low[some] = _by_running_sum(block[:, some], weights, masses)  # a copy of them
        mean[columns] = low
    return mean


def _by_running_sum(updates: Tensor, weights: Sequence[float], masses: Sequence[float]) -> Tensor:
    n, d = updates.shape
    total = RunningSum(d)
    for rows in column_blocks(n, _ROWS):
        block = updates[rows].to("cpu", torch.float32).numpy()
        total.add_rows(block, weights[rows], masses[rows])
    return total.mean().to(updates.device)
