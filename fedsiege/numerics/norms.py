"""L2 norms of updates, in float64."""

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.numerics.distances import distances_to

#: Floats at a time: the float64 copy stays in the cache, and below 10,000 numbers the dot product
#: runs on one thread and so gives the same sum on every machine of a kind.
_BLOCK = 8192


def norm_of(row: NDArray[np.float32]) -> float:
    """Return the L2 norm of a float32 row ``(d,)``.

    The squares of float32 cannot overflow in float64, so the norm is finite if and only if every
    value of the row is.
    """
    buffer = np.empty(min(_BLOCK, row.size))
    total = 0.0
    with np.errstate(invalid="ignore"):  # a signalling NaN from the wire
        for start in range(0, row.size, _BLOCK):
            piece = row[start : start + _BLOCK]
            block = buffer[: piece.size]
            block[...] = piece
            total += float(block.dot(block))
    return math.sqrt(total)


def row_norms(updates: Tensor) -> Tensor:
    """Return ``(n,)`` float64 on the CPU: the L2 norm of each row, which cannot overflow."""
    return distances_to(updates)
