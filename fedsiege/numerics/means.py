"""Sums and means of rows in float64, in one pass over the matrix, and the median of numbers."""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from fedsiege.numerics.threads import even_blocks, share

#: Columns, and numbers, that are converted at a time: 2 MiB of float64. Long pieces of few rows are
#: read twice as fast as short pieces of all.
_WIDTH, _NUMBERS = 2**15, 2**18
#: At most this share of all numbers, since each thread has a buffer.
_SHARE = 64


def sum_in_float64(updates: Tensor, weights: Tensor) -> Tensor:
    """Return ``sum_i weights_i g_i``, summed in float64.

    Args:
        updates: ``(n, d)`` floating point, read as float32, finite.
        weights: ``(n,)`` float64 on the CPU.

    Returns:
        ``(d,)`` float64 on the device of the updates, with an error of at most
        ``(n + 1) 2^-53 sum_i |weights_i g_i|``. The last bits depend on the order of the rows and
        on the number of threads.
    """
    return _summed(updates, weights, bounded=False)[0]


def sum_with_bound(updates: Tensor, weights: Tensor) -> tuple[Tensor, list[tuple[slice, float]]]:
    """Return ``sum_i weights_i g_i`` in float64, with bounds of its negative terms.

    Args:
        updates: ``(n, d)`` floating point, of any value, 1 row or more.
        weights: ``(n,)`` float64 on the CPU, above 0.

    Returns:
        ``(d,)`` float64; and slices that cover the columns, each with a bound: in none of its
        columns the absolute values of the negative terms add up to more. If a value is not finite,
        the sum or the bound is infinite or NaN.
    """
    return _summed(updates, weights, bounded=True)


def mean_of_rows(updates: Tensor, accepted: Tensor) -> Tensor:
    """Return the mean of the accepted rows, summed in float64.

    The last bits of the sum depend on the order of the rows. After rounding to float32 this is
    visible in about one of 10^8 coordinates.

    Args:
        updates: ``(n, d)`` floating point, finite.
        accepted: ``(n,)`` bool on the CPU, not all False.

    Returns:
        ``(d,)`` float32 on the device of the updates.
    """
    return sum_in_float64(updates, accepted / accepted.sum(dtype=torch.float64)).float()


def weighted_mean(updates: Tensor, weights: Tensor, masses: Tensor | None = None) -> Tensor:
    """Return ``sum_i weights_i g_i / sum_i masses_i``, summed in float64.

    The last bits of the sum depend on the order of the rows. After rounding to float32 this is
    visible in about one of 10^8 coordinates.

    Args:
        updates: ``(n, d)`` floating point, finite.
        weights: ``(n,)`` finite, on the CPU.
        masses: ``(n,)`` 0 or more, on the CPU, not all 0; None for the weights.

    Returns:
        ``(d,)`` float32 on the device of the updates.
    """
    masses = weights if masses is None else masses
    shares = weights.double() / masses.sum(dtype=torch.float64)
    return sum_in_float64(updates, shares).float()


def clipped_mean(updates: Tensor, accepted: Tensor, norms: Tensor, bound: float) -> Tensor:
    """Return the mean of ``g_i min(1, bound / ||g_i||)`` over the accepted rows.

    Args:
        updates: ``(n, d)``.
        accepted: ``(n,)`` bool on the CPU, not all False.
        norms: ``(n,)`` float64, of all rows.
        bound: 0 or more; with 0 the mean is 0.

    Returns:
        ``(d,)`` float32 on the device of the updates.
    """
    factors = torch.where(norms > bound, bound / norms, 1.0)  # 0 / 0 is in the branch not taken
    return weighted_mean(updates, factors * accepted, accepted.double())


def median_of(values: Tensor) -> float:
    """Return the median of ``(n,)`` numbers; of an even n, the mean of the two middle ones.

    (torch.median takes the lower one.)
    """
    ordered = values.double().sort().values
    n = len(ordered)
    return float(ordered[(n - 1) // 2 : n // 2 + 1].mean())


def _summed(
    updates: Tensor, weights: Tensor, bounded: bool
) -> tuple[Tensor, list[tuple[slice, float]]]:
    n, d = updates.shape
    device = updates.device
    factors = weights.to(device, torch.float64)
    rows, columns = _tiles(n, d) if device.type == "cpu" else ([slice(0, n)], [slice(0, d)])
    totals = torch.empty(len(rows), d, dtype=torch.float64, device=device)
    below: dict[tuple[int, int], float] = {}

    def add_up(tiles: Iterator[tuple[int, int]]) -> None:
        few = max(_WIDTH, n * d // _SHARE)
        buffer = factors.new_empty(min(n * min(d, _WIDTH), _NUMBERS, few))
        for i, j in tiles:
            total = totals[i, columns[j]].zero_()
            block = updates[rows[i], columns[j]]
            below[i, j] = _add(block, factors[rows[i]], total, buffer, bounded)

    share(add_up, product(range(len(rows)), range(len(columns))))
    # A fixed order of summation, so that the result does not depend on the threads' timing.
    total = totals[0] if len(rows) == 1 else totals.sum(dim=0)
    bounds = [sum(below[i, j] for i in range(len(rows))) for j in range(len(columns))]
    return total, list(zip(columns, bounds, strict=True))


def _tiles(n: int, d: int) -> tuple[list[slice], list[slice]]:
    """Return slices of rows and of columns, about one for each thread."""
    threads = torch.get_num_threads()
    if 2 * d >= threads * _WIDTH:
        return [slice(0, n)], even_blocks(d, _WIDTH)
    count = min(threads, n)
    return [slice(k * n // count, (k + 1) * n // count) for k in range(count)], [slice(0, d)]


def _add(block: Tensor, factors: Tensor, total: Tensor, buffer: Tensor, bounded: bool) -> float:
    """Add rows to a total; return the bound of the negative terms, 0 if not asked for."""
    below = 0.0
    count = max(1, len(buffer) // block.shape[1])
    for rows, shares in zip(torch.split(block, count), torch.split(factors, count), strict=True):
        if len(buffer) < rows.numel():
            buffer = factors.new_empty(rows.numel())
        doubles = buffer[: rows.numel()].view(rows.shape)
        doubles.copy_(rows if rows.dtype == torch.float32 else rows.float())
        total.addmv_(doubles.T, shares)
        if bounded:
            least = float(rows.amin())  # while it is in the cache
            if not least >= 0:  # a NaN is not
                below -= least * float(shares.sum())
    return below
