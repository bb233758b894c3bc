"""Work on blocks of a matrix, shared by as many threads as torch uses.

Torch divides every single operation among its threads, which then wait for each other. With blocks
that fit the cache this happens thousands of times a round, and on a busy machine each wait lasts
until the system has scheduled all threads. Here the threads wait once, at the end.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

Block = TypeVar("Block")

#: A cache line of float32, so that no two threads write to the same.
_LINE = 16


def share(work: Callable[[Iterator[Block]], None], blocks: Iterable[Block]) -> None:
    """Run work on several threads until all blocks are done.

    Args:
        work: called once on each thread with an iterator over the blocks that are left; an
            operation of torch in it runs on that thread only.
        blocks: the blocks; a thread takes the next one when it has finished one.
    """
    left = list(blocks)
    threads = torch.get_num_threads()
    one = iter(left)  # the step of a list's iterator is atomic, so threads can share it
    if threads == 1:
        work(one)
        return
    workers = _workers(threads)
    for task in [workers.submit(work, one) for _ in range(min(threads, len(left)))]:
        task.result()


def even_blocks(d: int, width: int) -> list[slice]:
    """Return slices of about ``width`` columns that cover d columns, the same number per thread."""
    threads = torch.get_num_threads()
    count = threads * max(1, round(d / width / threads))
    width = -(-d // count // _LINE) * _LINE
    return [slice(start, min(start + width, d)) for start in range(0, d, width)]


def row_blocks(updates: Tensor, numbers: int) -> list[slice]:
    """Return slices that cover the rows, the same number per thread.

    Args:
        updates: ``(n, d)``; on a device other than the CPU there is one slice of all rows.
        numbers: the approximate number of elements in a slice.
    """
    n, d = updates.shape
    threads = torch.get_num_threads()
    if updates.device.type != "cpu":
        return [slice(0, n)]
    count = min(n, threads * max(1, round(n * d / numbers / threads)))
    return [slice(k * n // count, (k + 1) * n // count) for k in range(count)]


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    """Return a pool of threads on which torch uses one thread each; cached, as starting is slow.

    Setting torch's number of threads on one thread also changes the number that new threads start
    with. So each thread reads it at once, and it is restored at the end.
    """
    before = torch.get_num_threads()
    all_there = Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()
        torch.set_num_threads(1)
        all_there.wait()

    pool = ThreadPoolExecutor(count, "aggregation", begin)
    for _ in range(count):
        pool.submit(_nothing)
    all_there.wait()
    torch.set_num_threads(before)
    return pool


def _nothing() -> None:
    """Do nothing: a pool starts a thread when it is given something to do."""


os.register_at_fork(after_in_child=_workers.cache_clear)  # threads do not come along
