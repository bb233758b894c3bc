"""Cosine similarities of updates, to each other and to one direction."""

import numpy as np
import torch
from torch import Tensor

from fedsiege.numerics.distances import products, row_norms
from fedsiege.numerics.matrix import column_blocks, rows_of

#: Columns that are multiplied at a time.
_WIDTH = 2048
#: A cosine of float32 products this close to 1 is that of parallel rows.
_PARALLEL = 1e-6
#: Floats of a float64 dot product at a time, see norms.py.
_BLOCK = 8192


def cosines(updates: Tensor) -> Tensor:
    """Return the cosine similarity of every pair of rows: one matrix product in column blocks.

    Args:
        updates: ``(n, d)`` floating point, finite.

    Returns:
        ``(n, n)`` float64 on the CPU, good to 1e-6, exactly 1 or -1 between parallel rows; 0
        between a row of zeros and any other, 1 on the diagonal.
    """
    n, d = updates.shape
    norms = row_norms(updates)
    # Divided in float32 unless a norm, or what is divided by it, is near the ends of its range.
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
    """Return ``(n,)`` float64 on the CPU: the dot product of each row with ``(d,)`` a direction.

    Each is computed from its own row alone, in float64: the same bits wherever the row stands.
    """
    other = direction.to("cpu", torch.float32).numpy().astype(np.float64)
    products = []
    for row in rows_of(updates):
        pieces = (slice(start, start + _BLOCK) for start in range(0, row.size, _BLOCK))
        products.append(sum(float(row[p].astype(np.float64).dot(other[p])) for p in pieces))
    return torch.tensor(products, dtype=torch.float64)
