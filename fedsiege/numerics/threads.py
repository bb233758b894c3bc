"""Work on blocks of a matrix, shared by as many threads as torch uses.

Torch shares every single operation among its threads, which then wait for each other: where blocks
are small enough to stay in the cache that is thousands of times a round, and on a machine in use
each costs until the system has let all of them run. Here they wait once, at the end.
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
    """Let threads do work, of all blocks together once.

    Args:
        work: called on each thread, with what gives it one block after the other as long as there
            are any. What it computes with torch stays on that thread.
        blocks: what is left to do; a thread takes the next when it has done one.
    """
    left = list(blocks)
    threads = torch.get_num_threads()
    one = iter(left)  # a step of it is not divisible, so that threads can share it
    if threads == 1:
        work(one)
        return
    workers = _workers(threads)
    for task in [workers.submit(work, one) for _ in range(min(threads, len(left)))]:
        task.result()


def even_blocks(d: int, width: int) -> list[slice]:
    """Return slices of at most about ``width`` columns that cover d columns, as many per thread."""
    threads = torch.get_num_threads()
    count = threads * max(1, round(d / width / threads))
    width = -(-d // count // _LINE) * _LINE
    return [slice(start, min(start + width, d)) for start in range(0, d, width)]


def row_blocks(updates: Tensor, numbers: int) -> list[slice]:
    """Return slices that cover the rows, as many per thread.

    Args:
        updates: ``(n, d)``; on a device other than the CPU there is one slice of all.
        numbers: about how many are in the rows of a slice.
    """
    n, d = updates.shape
    threads = torch.get_num_threads()
    if updates.device.type != "cpu":
        return [slice(0, n)]
    count = min(n, threads * max(1, round(n * d / numbers / threads)))
    return [slice(k * n // count, (k + 1) * n // count) for k in range(count)]


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    """Return threads on which torch uses no others; they are kept, since starting them takes time.

    Torch's number of threads is that of the calling thread, but also the one that new threads begin
    with, when they first ask for it: hence they ask at once, and it is set again.
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
