"""Robust z-scores, which a minority cannot shift, and the detection of identical rows."""

import hashlib

import torch
from torch import Tensor

from fedsiege.numerics.matrix import rows_of

#: The standard deviation of a normal distribution in units of its median absolute deviation.
_NORMAL = 1.4826
#: With fewer numbers than this there is no majority to compare with.
FEWEST = 3


def robust_z(values: Tensor, floor: float, counted: Tensor | None = None) -> Tensor:
    """Return ``(x - median) / max(1.4826 MAD, floor)``, MAD being the median of ``|x - median|``.

    Args:
        values: ``(n,)``; values that are not finite are left out.
        floor: the smallest spread, above 0, so that almost equal values have small scores.
        counted: ``(n,)`` bool, the values that the medians are computed from; None for all.

    Returns:
        ``(n,)`` float64; 0 for values that are not finite, and for all if fewer than 3 are counted.
    """
    z = torch.zeros(len(values), dtype=torch.float64)
    finite = values.isfinite()
    others = values[finite if counted is None else finite & counted].double()
    if len(others) < FEWEST:
        return z
    middle = others.quantile(0.5)
    spread = _NORMAL * (others - middle).abs().quantile(0.5)
    z[finite] = (values[finite].double() - middle) / spread.clamp(min=floor)
    return z


def distinct(updates: Tensor) -> Tensor:
    """Return ``(n,)`` bool: True for the first of each set of identical rows.

    Identical fakes that are counted once cannot determine a median.

    Args:
        updates: ``(n, d)`` floating point.
    """
    digests = [hashlib.blake2b(row.tobytes()).digest() for row in rows_of(updates)]
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    mask = torch.zeros(len(digests), dtype=torch.bool)
    mask[list(first.values())] = True
    return mask
