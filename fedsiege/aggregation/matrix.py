"""How rules work through an ``(n, d)`` matrix without a second copy of it."""

from collections.abc import Iterable, Iterator

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
    """Yield all rows, or those of the indices, as float32 on the CPU, copied only if they must."""
    for i in range(len(updates)) if indices is None else indices:
        row: NDArray[np.float32] = updates[i].to("cpu", torch.float32).numpy()
        yield row


def sorted_columns(updates: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Sort each column of an ``(n, d)`` matrix of finite numbers, block by block.

    Yields:
        The slice of columns and ``(width, n)`` float32, the sorted values of one column per row,
        on the device of the updates. The next block overwrites it.
    """
    n, d = updates.shape
    width = max(1, SORTED_BLOCK // n)
    if updates.device.type != "cpu":
        for columns in column_blocks(d, width):
            yield columns, updates[:, columns].float().sort(dim=0).values.T
        return
    # numpy sorts float32 rows with vector instructions, 50 times as fast as torch, which moves an
    # int64 index with every value.
    buffer = torch.empty(min(width, d), n)
    for columns in column_blocks(d, width):
        block = buffer[: columns.stop - columns.start]
        rows = block.numpy()
        rows[...] = updates[:, columns].float().numpy().T
        rows.sort(axis=1)
        yield columns, block
