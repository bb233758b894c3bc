"""Distances between all updates, distances to a point, and norms."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.numerics.matrix import column_blocks
from fedsiege.numerics.threads import share

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
#: A row shorter than this, or of a length that is infinite in float32, has squares that float32
#: cannot hold: they are computed again, at another scale or in float64.
_SHORTEST = 2.0**-40
#: Floats of a norm at a time: the float64 copy stays in the cache, and below 10,000 numbers the dot
#: product runs on one thread and so gives the same sum on every machine of a kind.
_NORM_BLOCK = 8192
#: Columns at a time of rows that are brought to another scale, in float64.
_SCALED_WIDTH = 2048


def squared_distances(updates: Tensor) -> Tensor:
    """Return the squared L2 distances of all pairs of rows.

    ``||x_i - x_j||^2 = G_ii + G_jj - 2 G_ij`` with the Gram matrix G: one matrix product instead of
    n^2 / 2 subtractions. The formula loses its digits if two rows lie close together and far from
    the origin, such as the fake clients of MPAF. These pairs are computed again with one of the
    rows as the origin, until none is left. Rows whose squares float32 cannot hold are multiplied by
    a power of two first. So every distance has a relative error of about 2e-4 at any scale, and is
    0 between identical rows.

    Args:
        updates: ``(n, d)`` floating point, finite.

    Returns:
        ``(n, n)`` float64 on the CPU, finite, the diagonal 0.
    """
    distances, cancelled = _distances(updates)
    while cancelled.any():
        # The row with most such pairs becomes the origin for itself and its partners. No pair of
        # this row is left, so the loop ends; a cluster of similar rows takes one pass.
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
    _rescale_extremes(distances, updates, rows, origin)
    squares = distances.diagonal().copy()
    np.fill_diagonal(distances, -np.inf)  # a distance of infinity, which has not cancelled
    cancelled = np.zeros(distances.shape, np.bool_)
    largest = 2 * _CANCELLED * squares.max()
    for tile in column_blocks(len(squares), 64):  # small temporaries
        part = distances[tile]
        part *= -2.0
        part += squares
        part += squares[tile, None]
        if not part.min() >= largest:  # else none has
            limit = _CANCELLED * (squares[tile, None] + squares)
            cancelled[tile] = ~(part >= limit)
    np.fill_diagonal(cancelled, False)
    np.fill_diagonal(distances, 0.0)
    return distances, cancelled


def distances_to(updates: Tensor, point: Tensor | None = None) -> Tensor:
    """Return the L2 distance of each row from a point, by subtraction.

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
    return renew_extremes(squares.sqrt().cpu(), updates, point)


def renew_extremes(distances: Tensor, updates: Tensor, point: Tensor | None = None) -> Tensor:
    """Recompute in float64 the distances whose squares float32 could not hold; return all.

    Args:
        distances: ``(n,)`` float64 on the CPU, from float32 squares; changed in place.
        updates: ``(n, d)``.
        point: as for ``distances_to``.
    """
    for i in (~((distances >= _SHORTEST) & (distances < torch.inf))).nonzero().flatten().tolist():
        if _differs(updates[i], point):
            row = updates[i].double()
            distances[i] = (row if point is None else row - point).norm()
    return distances


def _differs(row: Tensor, point: Tensor | None) -> bool:
    """Return whether a row differs from a point; None for the origin."""
    if point is None:
        return bool(row.any())
    row, point = row.float(), point.float()
    if row.device.type != "cpu":
        return not torch.equal(row, point)
    return not np.array_equal(row.numpy(), point.numpy())  # in half of torch's time


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


def _rescale_extremes(
    gram: NDArray[np.float64], updates: Tensor, rows: Tensor | None, origin: Tensor | None
) -> None:
    """Recompute the products of very long and very short rows, in place.

    Each such row is divided by the power of two that brings its largest number into [1/2, 1), and
    its products are multiplied by it. Products of other rows are unchanged.
    """
    squares = gram.diagonal()
    suspects = np.flatnonzero(~((squares >= _SHORTEST**2) & (squares < np.inf)))
    indices = np.arange(len(gram)) if rows is None else rows.numpy()
    extreme = [i for i in suspects if _differs(updates[int(indices[i])], origin)]
    if not extreme:
        return
    device, chosen = updates.device, torch.from_numpy(indices[extreme])
    peaks = torch.zeros(len(extreme), dtype=torch.float64, device=device)
    for columns in column_blocks(updates.shape[1], _SCALED_WIDTH):
        block = _from_origin(updates, chosen, origin, columns)
        peaks = torch.maximum(peaks, block.abs_().amax(dim=1))
    exponents = np.frexp(peaks.cpu().numpy())[1]
    scale = np.ones(len(gram))
    scale[extreme] = np.ldexp(1.0, exponents)
    factors = torch.from_numpy(1 / scale).to(device)[:, None]
    at = torch.tensor(extreme, device=device)
    found = torch.zeros(len(extreme), len(gram), dtype=torch.float64, device=device)
    for columns in column_blocks(updates.shape[1], _SCALED_WIDTH):
        block = _from_origin(updates, torch.from_numpy(indices), origin, columns)
        scaled = block.mul_(factors).float()
        found += products(scaled[at], scaled)
    again = found.cpu().numpy() * scale[extreme, None] * scale
    gram[:, extreme] = again.T
    gram[extreme] = again


def _from_origin(updates: Tensor, rows: Tensor, origin: Tensor | None, columns: slice) -> Tensor:
    """Return some columns of some rows, from an origin, in float64: a new tensor."""
    block = updates[rows.to(updates.device), columns].to(torch.float64, copy=True)
    return block if origin is None else block.sub_(origin[columns])


def _blocks(updates: Tensor, rows: Tensor | None, origin: Tensor | None) -> Iterator[Tensor]:
    """Yield blocks of columns of all or some rows, from an origin, as contiguous matrices.

    Each block is a copy that overwrites the one before; short rows are yielded without a copy.
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
        if rows is None:
            block.copy_(updates[:, columns])
        elif updates.dtype == torch.float32:
            torch.index_select(updates[:, columns], 0, rows, out=block)
        else:
            block.copy_(updates[rows, columns])
        if origin is not None:
            block -= origin[columns].float()
        yield block


def norm_of(row: NDArray[np.float32]) -> float:
    """Return the L2 norm of a float32 row ``(d,)``.

    The squares of float32 cannot overflow in float64, so the norm is finite if and only if every
    value of the row is.
    """
    buffer = np.empty(min(_NORM_BLOCK, row.size))
    total = 0.0
    with np.errstate(invalid="ignore"):  # a signalling NaN from the wire
        for start in range(0, row.size, _NORM_BLOCK):
            piece = row[start : start + _NORM_BLOCK]
            block = buffer[: piece.size]
            block[...] = piece
            total += float(block.dot(block))
    return math.sqrt(total)


def row_norms(updates: Tensor) -> Tensor:
    """Return ``(n,)`` float64 on the CPU: the L2 norm of each row, which cannot overflow."""
    return distances_to(updates)


def products(left: Tensor, right: Tensor) -> Tensor:
    """Return ``L R^T`` of two contiguous float32 matrices."""
    if left.device.type == "cpu" and _ONEDNN:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
        return result
    return left @ right.T
