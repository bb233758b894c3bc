"""Weighted means of rows, and the median."""

import torch
from torch import Tensor

from fedsiege.numerics.sums import sum_in_float64


def weighted_mean(updates: Tensor, weights: Tensor, masses: Tensor | None = None) -> Tensor:
    """Return ``sum_i weights_i g_i / sum_i masses_i``, summed in float64.

    Another order of the rows changes the last bits of the sum, which the rounding to float32 hides
    in all but about one of 10^8 coordinates.

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
