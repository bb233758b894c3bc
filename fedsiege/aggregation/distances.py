"""Distances between all updates, and from all to a point."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.aggregation.matrix import column_blocks
from fedsiege.aggregation.threads import share

#: Columns, at most and at least, and rows on either side, that are multiplied at a time.
_WIDTH = 8192
_LEAST_WIDTH = 1024
_TILE = 64
#: So many tiles are multiplied by a thread each; fewer, by all threads one after the other.
_MANY = 6
#: Columns that are multiplied at once, so that no copy of them has to be made: oneDNN adds up its
#: products in blocks, so that the error is that of fewer. With 2^20 it is ten times as large.
_SHORT = 2**17
#: Numbers of such a block: 16 MiB, but never less than the least width.
_BLOCK = 2**22
#: Numbers of a block that a point is subtracted from: 4 MiB of float32.
_CACHED = 2**20
#: Squares that are added up in float32.
_LONGEST_SUM = 2**16
#: Whether torch can multiply by oneDNN alone. On AMD its own product, as numpy's, takes AVX2 and
#: twice the time; and numpy's does not keep to the number of threads that torch is given.
_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")
#: Where a squared distance is below this share of ``||x_i||^2 + ||x_j||^2``, the subtraction has
#: cancelled too many digits of the float32 products to be trusted.
_CANCELLED = 4e-3


def squared_distances(updates: Tensor) -> Tensor:
    """Return the squared L2 distance of every pair of rows.

    ``||x_i - x_j||^2 = G_ii + G_jj - 2 G_ij`` with the Gram matrix G: one matrix product in place
    of n^2 / 2 subtractions. The formula loses its digits where two rows lie close together and far
    from the origin, as the fake clients of MPAF do. Such pairs are computed again with one of the
    rows as the origin, until none is left. So every distance is good to about 2e-4 of itself,
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
    np.fill_diagonal(distances, -np.inf)  # a distance of infinity, which has not cancelled
    cancelled = np.zeros(distances.shape, np.bool_)
    largest = 2 * _CANCELLED * squares.max()
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        for tile in column_blocks(len(squares), 64):  # small temporaries
            part = distances[tile]
            part *= -2.0
            part += squares
            part += squares[tile, None]
            if not part.min() >= largest:  # else none has
                limit = _CANCELLED * (squares[tile, None] + squares)
                cancelled[tile] = ~(part >= limit)  # negative ones and NaN too
    np.fill_diagonal(cancelled, False)
    np.fill_diagonal(distances, 0.0)
    return distances, cancelled


def distances_to(updates: Tensor, point: Tensor | None = None) -> Tensor:
    """Return the L2 distance of every row from a point, by subtraction.

    Args:
        updates: ``(n, d)`` floating point, finite.
        point: ``(d,)`` float32 on the device of the updates; None for the origin.

    Returns:
        ``(n,)`` float64 on the CPU, finite.
    """
    n, d = updates.shape
    # Without a point, float32 is read where it lies: then only the sums are kept short.
    copies = point is not None or updates.dtype != torch.float32
    width = max(1, _CACHED // n) if copies else _LONGEST_SUM
    squares = torch.zeros(n, dtype=torch.float64, device=updates.device)
    buffer = torch.empty(n if point is not None else 0, min(width, d), device=updates.device)
    for columns in column_blocks(d, width):
        block = updates[:, columns].float()
        if point is not None:
            room = buffer[:, : columns.stop - columns.start]
            block = torch.sub(block, point[columns], out=room)
        squares += torch.linalg.vector_norm(block, dim=1).double().square()
    distances = squares.sqrt().cpu()
    for i in distances.isinf().nonzero().flatten().tolist():  # squares beyond float32
        row = updates[i].double()
        distances[i] = (row if point is None else row - point).norm()
    return distances


def _gram(updates: Tensor, rows: Tensor | None, origin: Tensor | None) -> NDArray[np.float64]:
    """Return ``X X^T`` of all or some rows, from an origin; float32 products, float64 sums."""
    n = len(updates if rows is None else rows)
    tiles = list(column_blocks(n, _TILE))
    gram = torch.empty(n, n, dtype=torch.float64, device=updates.device)

    def multiply(left: Iterator[slice], block: Tensor, first: bool) -> None:
        for tile in left:
            part = products(block[: tile.stop], block[tile])
            if first:
                gram[: tile.stop, tile] = part
            else:
                gram[: tile.stop, tile] += part

    for k, block in enumerate(_blocks(updates, rows, origin)):
        work = partial(multiply, block=block, first=k == 0)
        if len(tiles) >= _MANY and updates.device.type == "cpu":
            share(work, reversed(tiles))  # the largest first
        else:
            work(iter(tiles))
    found: NDArray[np.float64] = gram.cpu().numpy()
    for tile in tiles:  # torch would wake its other threads for each
        found[tile, : tile.start] = found[: tile.start, tile].T
    return found


def _blocks(updates: Tensor, rows: Tensor | None, origin: Tensor | None) -> Iterator[Tensor]:
    """Yield the columns of all or some rows, from an origin, as matrices that can be multiplied.

    They are copies, each overwrites the one before; but short rows are taken as they are.
    """
    n, d = len(updates if rows is None else rows), updates.shape[1]
    as_is = updates.dtype == torch.float32 and updates.is_contiguous() and d <= _SHORT
    if as_is and rows is None and origin is None:
        yield updates
        return
    rows = None if rows is None else rows.to(updates.device)
    width = min(_WIDTH, max(_LEAST_WIDTH, min(d // 8, _BLOCK // n)), d)
    buffer = torch.empty(n * width, device=updates.device)
    for columns in column_blocks(d, width):
        block = buffer[: n * (columns.stop - columns.start)].view(n, -1)
        block.copy_(updates[:, columns] if rows is None else updates[rows, columns])
        if origin is not None:
            block -= origin[columns].float()
        yield block


def products(left: Tensor, right: Tensor) -> Tensor:
    """Return ``L R^T`` of two contiguous float32 matrices."""
    if left.device.type == "cpu" and _ONEDNN:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
        return result
    return left @ right.T
