"""Squared distances between all updates."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.aggregation.matrix import column_blocks

#: Columns, and rows on either side, that are multiplied at a time.
_WIDTH = 4096
_TILE = 1024
#: Where a squared distance is below this share of ``||x_i||^2 + ||x_j||^2``, the subtraction has
#: cancelled too many digits of the float32 products to be trusted.
_CANCELLED = 1e-3


def squared_distances(updates: Tensor) -> Tensor:
    """Return the squared L2 distance of every pair of rows.

    ``||x_i - x_j||^2 = G_ii + G_jj - 2 G_ij`` with the Gram matrix G: one matrix product in place
    of n^2 / 2 subtractions. The formula loses its digits where two rows lie close together and far
    from the origin, as the fake clients of MPAF do. Such pairs are computed again with one of the
    rows as the origin, until none is left. So every distance is good to about 1e-4 of itself,
    whatever the scale of other rows, and between identical rows it is 0.

    Args:
        updates: ``(n, d)`` floating point, finite.

    Returns:
        ``(n, n)`` float64 on the CPU, the diagonal 0. What float32 cannot hold is infinite.
    """
    distances, cancelled = _distances(updates)
    while cancelled.any():
        # The row with most such pairs becomes the origin for itself and its partners. That settles
        # all its pairs, so this ends; a cluster of look-alikes is settled at once.
        hub = int(cancelled.sum(axis=1).argmax())
        cancelled[hub, hub] = True
        near = cancelled[hub].nonzero()[0]
        closer, unsettled = _distances(updates, torch.from_numpy(near), origin=updates[hub])
        for k, i in enumerate(near):
            again = cancelled[i, near]
            distances[i, near[again]] = closer[k, again]
            cancelled[i, near[again]] = unsettled[k, again]
        cancelled[hub, :] = cancelled[:, hub] = False
    return torch.from_numpy(distances)


def _distances(
    updates: Tensor, rows: Tensor | None = None, origin: Tensor | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the squared distances of all or some rows, and which of them cancelled."""
    distances = _gram(updates, rows, origin)
    squares = distances.diagonal().copy()
    cancelled = np.empty(distances.shape, np.bool_)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        for tile in column_blocks(len(squares), 64):  # small temporaries
            part = distances[tile]
            scale = squares[tile, None] + squares
            part *= -2.0
            part += scale
            scale *= _CANCELLED
            cancelled[tile] = ~(part >= scale)  # negative ones and NaN too
    np.fill_diagonal(cancelled, False)
    np.fill_diagonal(distances, 0.0)
    return distances, cancelled


def _gram(updates: Tensor, rows: Tensor | None, origin: Tensor | None) -> NDArray[np.float64]:
    """Return ``X X^T`` of all or some rows, from an origin; float32 products, float64 sums."""
    n = len(updates if rows is None else rows)
    rows = None if rows is None else rows.to(updates.device)
    tiles = list(column_blocks(n, _TILE))
    gram = np.zeros((n, n))
    for columns in column_blocks(updates.shape[1], _WIDTH):
        block = updates[:, columns] if rows is None else updates[rows, columns]
        block = block.float()
        if origin is not None:
            block = block - origin[columns].float()
        for i, row_tile in enumerate(tiles):
            for column_tile in tiles[: i + 1]:
                gram[row_tile, column_tile] += _products(
                    block[row_tile], block[column_tile]
                ).numpy()
    for i, row_tile in enumerate(tiles):
        for column_tile in tiles[:i]:
            gram[column_tile, row_tile] = gram[row_tile, column_tile].T
    return gram


def _products(left: Tensor, right: Tensor) -> Tensor:
    if left.device.type != "cpu":
        return (left @ right.T).cpu()
    # numpy sees a matrix times its own transpose and computes one triangle; torch computes both.
    with np.errstate(over="ignore", invalid="ignore"):
        return torch.from_numpy(left.numpy() @ right.numpy().T)
