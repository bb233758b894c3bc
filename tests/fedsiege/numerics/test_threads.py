"""Work that threads share."""

import os
import threading
from collections.abc import Iterator

import pytest
import torch

from fedsiege.numerics.threads import even_blocks, share


@pytest.fixture(params=[1, 2, 3], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(before)


def test_every_block_is_done_once_and_torch_stays_on_the_thread(threads: int) -> None:
    done: list[int] = []
    inner: list[int] = []
    one_waits_for_all = threading.Barrier(threads)

    def work(blocks: Iterator[int]) -> None:
        one_waits_for_all.wait(60)
        inner.append(torch.get_num_threads())
        done.extend(blocks)

    share(work, range(100))
    assert sorted(done) == list(range(100))
    assert inner == [1] * threads


def test_an_error_on_a_thread_is_raised() -> None:
    def work(blocks: Iterator[int]) -> None:
        for block in blocks:
            raise KeyError(block)

    with pytest.raises(KeyError):
        share(work, range(5))


def test_blocks_cover_all_columns(threads: int) -> None:
    for d in (1, 15, 100, 1000, 12_345):
        blocks = even_blocks(d, 100)
        covered = [i for block in blocks for i in range(block.start, block.stop)]
        assert covered == list(range(d))
        assert all(block.stop - block.start <= 208 for block in blocks)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_child_process_has_threads_of_its_own() -> None:
    before: list[int] = []
    share(before.extend, range(10))
    child = os.fork()
    if child == 0:
        done: list[int] = []
        share(done.extend, range(10))
        os._exit(0 if sorted(done) == list(range(10)) else 1)
    assert os.waitpid(child, 0)[1] == 0
