"""The mean of a RunningSum, computed from a matrix: the same bits in less time, on any device."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from fedsiege.numerics.matrix import column_blocks
from fedsiege.numerics.means import sum_with_bound
from fedsiege.numerics.running_sum import LARGEST, QUANTUM, RunningSum
from fedsiege.numerics.threads import share

#: Numbers that are computed again at a time.
_AGAIN = 2**16
#: Rows that a RunningSum takes at a time.
_ROWS = 64
#: Beside such a number, float64 has no bits below a RunningSum's quantum, if the other is below 2.
_MAGIC = 1.5 * 2.0**52 * QUANTUM
#: Up to this, float64 holds all multiples of the quantum.
_EXACT = 2.0**53 * QUANTUM


def exact_mean(updates: Tensor, weights: Sequence[float], masses: Sequence[float]) -> Tensor:
    """Return ``sum_i weights_i g_i / sum_i masses_i``, bit-identical to the mean of a RunningSum.

    Args:
        updates: ``(n, d)`` floating point, read as float32, finite.
        weights: n numbers, in the range of ``RunningSum.add``.
        masses: n numbers, 0 or more.

    Returns:
        ``(d,)`` float32 on the device of the updates.

    Raises:
        InvalidValue: a number is out of range.
        UnfitRound: the sum of the masses is 0.
    """
    mean = mean_if_finite(updates, weights, masses)
    # A RunningSum handles unusual values, and raises the errors.
    return _by_running_sum(updates, weights, masses) if mean is None else mean


def mean_if_finite(
    updates: Tensor, weights: Sequence[float], masses: Sequence[float]
) -> Tensor | None:
    """Return the exact mean in one pass over the matrix, or None if one pass cannot compute it.

    The sum is computed in float64, with a bound of its difference from the sum of a RunningSum.
    Nearly always both ends of that interval round to the same float32, which is then exact. The
    other coordinates, about one in a thousand and those that are 0 in all rows, are computed again.

    Args:
        updates: ``(n, d)`` floating point, of any value, including NaN and infinity.
        weights: as for ``exact_mean``.
        masses: as for ``exact_mean``.

    Returns:
        ``(d,)`` float32 on the device of the updates. None if a number is not finite in float32, a
        weight is not above 0, or a number is very large.
    """
    n, d = updates.shape
    # A weight of 0 could hide an infinity.
    usual = all(0 < weight <= LARGEST for weight in weights) and all(m >= 0 for m in masses)
    mass = math.fsum(masses) if usual else 0.0
    if not 0 < mass < math.inf:
        return None
    total, bounds = sum_with_bound(updates, torch.tensor(weights, dtype=torch.float64))
    mean = torch.empty(d, device=updates.device)
    out_of_range: list[slice] = []

    def settle(blocks: Iterator[tuple[slice, float]]) -> None:
        for columns, below in blocks:
            # |x| is x, or x - 2 x where x is negative.
            sizes = total[columns] + 2.0 * below
            if not sizes.max() <= LARGEST:  # a NaN is not
                out_of_range.append(columns)
                return
            part = mean[columns]
            part[:], open_ones = _rounded(total[columns], sizes, n, mass)
            for some in _pieces(open_ones, len(part), n):
                part[some] = _again(updates[:, columns][:, some], weights, masses, mass)

    share(settle, bounds)
    return None if out_of_range else mean


def _rounded(total: Tensor, sizes: Tensor, n: int, mass: float) -> tuple[Tensor, Tensor]:
    """Return means in float32, and the positions that an exact sum might round differently.

    Args:
        total: ``(w,)`` float64, sums of n terms.
        sizes: ``(w,)`` float64, bounds of the sums of the terms' absolute values.
        n: the number of terms.
        mass: the divisor of the sums.
    """
    # n sums are rounded, and a RunningSum rounds n terms to its quantum; 32 are two roundings of
    # each product, of its limbs, of both divisions, of the sizes and of the ends of the interval.
    error = (sizes * (2.0**-53 * (n + 32))).add_(0.5 * n * QUANTUM)
    low, high = ((total - error) / mass).float(), ((total + error) / mass).float()
    return low, (low.view(torch.int32) != high.view(torch.int32)).nonzero().flatten()


def _pieces(open_ones: Tensor, width: int, n: int) -> Iterator[Tensor | slice]:
    """Yield the columns to compute again, in pieces that fit the cache.

    If they are many, all columns are yielded: reading them in order is faster than selecting.
    """
    few = max(1, _AGAIN // n)
    if len(open_ones) > width // 8:
        yield from column_blocks(width, few)
    elif len(open_ones) > 0:
        yield from torch.split(open_ones, few)


def _again(block: Tensor, weights: Sequence[float], masses: Sequence[float], mass: float) -> Tensor:
    """Return the exact mean of some columns.

    Small terms, as in most updates, are rounded to the quantum of a RunningSum, and their sum is
    exact in float64. Other columns get a tighter bound. Columns that are still open are summed by a
    RunningSum.
    """
    n = len(block)
    exact = block.float().double()
    exact *= torch.tensor(weights, dtype=torch.float64, device=block.device)[:, None]
    total, sizes, peaks = exact.sum(dim=0), exact.abs().sum(dim=0), exact.abs().amax(dim=0)
    exact += _MAGIC
    exact -= _MAGIC
    small = (sizes + n * QUANTUM <= _EXACT) & (peaks < 1.75)
    mean, open_ones = _rounded(total, sizes, n, mass)
    mean[small] = (exact.sum(dim=0)[small] / mass).float()
    open_ones = open_ones[~small[open_ones]]
    if len(open_ones) > 0:
        mean[open_ones] = _by_running_sum(block[:, open_ones], weights, masses)
    return mean


def _by_running_sum(updates: Tensor, weights: Sequence[float], masses: Sequence[float]) -> Tensor:
    n, d = updates.shape
    total = RunningSum(d)
    for rows in column_blocks(n, _ROWS):
        block = updates[rows].to("cpu", torch.float32).numpy()
        total.add_rows(block, weights[rows], masses[rows])
    return total.mean().to(updates.device)
