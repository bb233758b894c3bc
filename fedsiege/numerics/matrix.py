"""Passes over an ``(n, d)`` matrix of updates in blocks, without a second copy of it."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Numbers of a block that is sorted: 1 MiB of float32, which stays in the cache of one core.
SORTED_BLOCK = 2**18


def column_blocks(d: int, width: int) -> Iterator[slice]:
    """Yield the slices of ``width`` columns, the last one narrower, that cover d columns."""
    for start in range(0, d, width):
        yield slice(start, min(start + width, d))


def rows_of(updates: Tensor, indices: Iterable[int] | None = None) -> Iterator[NDArray[np.float32]]:
    """Yield all rows, or those of the indices, as float32 on the CPU, copied only if needed."""
    for i in range(len(updates)) if indices is None else indices:
        row: NDArray[np.float32] = updates[i].to("cpu", torch.float32).numpy()
        yield row


def empty_matrix(n: int, d: int, device: torch.device) -> Tensor:
    """Return an uninitialised ``(n, d)`` float32 matrix, for results and large buffers.

    On the CPU numpy allocates it, since numpy asks the kernel for huge pages. Torch's allocation
    causes a page fault for every 4 KiB, which takes four times as long as filling the matrix.
    """
    if device.type != "cpu":
        return torch.empty(n, d, device=device)
    return torch.from_numpy(np.empty((n, d), np.float32))


def row_means(block: Tensor) -> Tensor:
    """Return ``(w,)`` float64, the mean of each row of ``(w, m)``.

    On the CPU numpy computes it, since torch's threads would compete with those that sort.
    """
    if block.device.type != "cpu":
        return block.mean(dim=1, dtype=torch.float64)
    return torch.from_numpy(block.numpy().mean(axis=1, dtype=np.float64))


def weighted_sum(updates: Tensor, weights: Tensor) -> Tensor:
    """Return ``sum_i weights_i g_i``, summed in float32 in one pass over the matrix.

    Args:
        updates: ``(n, d)`` floating point, finite.
        weights: ``(n,)`` on the CPU; their absolute values add up to 1 at most.

    Returns:
        ``(d,)`` float32 on the device of the updates. Another order of the rows changes its last
        bits.
    """
    n, d = updates.shape
    # Below the smallest normal number float32 loses digits: such weights belong to rows so long
    # that their share would be lost.
    tiny = (weights != 0) & (weights.abs() < torch.finfo(torch.float32).tiny)
    factors = weights.masked_fill(tiny, 0).to(updates.device, torch.float32)
    if updates.dtype == torch.float32:
        total = factors @ updates
    else:
        total = torch.empty(d, device=updates.device)
        for columns in column_blocks(d, max(1, SORTED_BLOCK // n)):
            total[columns] = factors @ updates[:, columns].float()
    for i in tiny.nonzero().flatten().tolist():
        total += (updates[i].double() * float(weights[i])).float()
    return total


def sorted_columns(updates: Tensor, rows: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Yield the sorted columns of an ``(n, d)`` matrix of finite numbers, block by block.

    Blocks are sorted in advance on as many threads as torch uses.

    Args:
        updates: ``(n, d)`` floating point.
        rows: ``(m,)`` int64 on the CPU, the rows to sort; None for all.

    Yields:
        The slice of columns and ``(width, m)`` float32, the sorted values of one column per row,
        on the device of the updates. A later block overwrites it.
    """
    n, d = updates.shape
    m = n if rows is None else len(rows)
    blocks = list(column_blocks(d, max(1, SORTED_BLOCK // m)))
    if updates.device.type != "cpu":
        at = slice(None) if rows is None else rows.to(updates.device)
        for columns in blocks:
            yield columns, updates[at, columns].float().sort(dim=0).values.T
        return
    threads = min(torch.get_num_threads(), len(blocks))
    # One more than the threads: the block that the caller reads.
    buffers = [torch.empty(blocks[0].stop, m) for _ in range(threads + 1)]
    if threads == 1:
        for columns in blocks:
            yield columns, _sort(updates, rows, columns, buffers[0])
        return
    ahead: deque[tuple[slice, Future[Tensor]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for k, columns in enumerate(blocks):
            buffer = buffers[k % len(buffers)]
            ahead.append((columns, pool.submit(_sort, updates, rows, columns, buffer)))
            if len(ahead) > threads:
                ready, block = ahead.popleft()
                yield ready, block.result()
        for ready, block in ahead:
            yield ready, block.result()


def _sort(updates: Tensor, rows: Tensor | None, columns: slice, buffer: Tensor) -> Tensor:
    """Write the sorted columns into the buffer, one per row; return the written part."""
    # numpy sorts float32 rows with vector instructions, 50 times as fast as torch, which moves an
    # int64 index with every value. It releases the interpreter's lock meanwhile.
    block = buffer[: columns.stop - columns.start]
    ordered = block.numpy()
    part = updates[:, columns] if rows is None else updates[rows, columns]
    ordered[...] = part.float().numpy().T
    ordered.sort(axis=1)
    return block
