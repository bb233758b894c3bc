"""Cosine similarities of all pairs of updates, and dot products with one direction."""

import numpy as np
import torch
from torch import Tensor

from fedsiege.numerics.distances import products, row_norms
from fedsiege.numerics.matrix import column_blocks, rows_of

#: Columns that are multiplied at a time.
_WIDTH = 2048
#: A cosine of float32 products this close to 1 is that of parallel rows.
_PARALLEL = 1e-6
#: Floats of a float64 dot product at a time, see ``_NORM_BLOCK`` in distances.py.
_BLOCK = 8192


def cosines(updates: Tensor) -> Tensor:
    """Return the cosine similarities of all pairs of rows.

    Args:
        updates: ``(n, d)`` floating point, finite.

    Returns:
        ``(n, n)`` float64 on the CPU, accurate to 1e-6, exactly 1 or -1 for parallel rows; 0 for a
        row of zeros with any other row, 1 on the diagonal.
    """
    n, d = updates.shape
    norms = row_norms(updates)
    # Divide in float32 unless a norm or a quotient is near the ends of its range.
    ordinary = ((norms == 0) | ((norms > 1e-30) & (norms < 1e30))).all()
    dtype = torch.float32 if ordinary else torch.float64
    scale = torch.where(norms > 0, norms, 1.0).to(updates.device, dtype)[:, None]
    gram = np.zeros((n, n))
    for columns in column_blocks(d, _WIDTH):
        block = (updates[:, columns].to(dtype) / scale).float()
        gram += products(block, block).cpu().numpy()
    np.rint(gram, out=gram, where=np.abs(gram) > 1 - _PARALLEL)
    np.fill_diagonal(gram, 1.0)
    return torch.from_numpy(gram)


def products_with(updates: Tensor, direction: Tensor) -> Tensor:
    """Return ``(n,)`` float64 on the CPU: the dot product of each row with a direction ``(d,)``.

    Each is computed in float64 from its row alone, so it does not depend on the row's position.
    """
    other = direction.to("cpu", torch.float32).numpy().astype(np.float64)
    products = []
    for row in rows_of(updates):
        pieces = (slice(start, start + _BLOCK) for start in range(0, row.size, _BLOCK))
        products.append(sum(float(row[p].astype(np.float64).dot(other[p])) for p in pieces))
    return torch.tensor(products, dtype=torch.float64)
