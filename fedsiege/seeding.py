"""Randomness from (run seed, purpose, round, participant) and from nothing else.

Two runs of the same specification draw the same numbers, whatever the number of workers and
whatever order messages arrive in.
"""

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from fedsiege.errors import InvalidValue


def sequence(
    seed: int, purpose: str, round_number: int = 0, participant: int = 0
) -> np.random.SeedSequence:
    """Return the root of one stream of randomness.

    Args:
        seed: the run's seed, 0 to 2**64 - 1.
        purpose: what it is for, for instance "batch order"; distinct purposes are independent.
        round_number: the round; 0 for what is drawn once per run.
        participant: the participant's index; 0 for what all share.

    Raises:
        InvalidValue: the seed is out of its range.
    """
    if not 0 <= seed < 2**64:
        raise InvalidValue("seed", seed, "a whole number from 0 to 2**64 - 1")
    return np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), round_number, participant])


def generator(
    seed: int, purpose: str, round_number: int = 0, participant: int = 0
) -> np.random.Generator:
    """Return a numpy generator for one purpose; arguments as for ``sequence``."""
    return np.random.Generator(np.random.PCG64(sequence(seed, purpose, round_number, participant)))


def torch_generator(
    seed: int, purpose: str, round_number: int = 0, participant: int = 0
) -> torch.Generator:
    """Return a CPU torch generator for one purpose; arguments as for ``sequence``.

    Torch keeps 32 bits of a CPU seed: enough for a few draws a run, such as initial weights. Among
    the 100,000 streams of a draw by round and participant one pair would probably be the same;
    take ``generator`` for those.
    """
    return torch.Generator().manual_seed(torch_seed(seed, purpose, round_number, participant))


def torch_seed(seed: int, purpose: str, round_number: int = 0, participant: int = 0) -> int:
    """Return a seed for a torch generator, 0 to 2**63 - 1; arguments as for ``sequence``."""
    state = sequence(seed, purpose, round_number, participant).generate_state(1, np.uint64)
    return int(state[0]) & (2**63 - 1)


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Let what draws from torch's global generator on the CPU draw from a seed, and restore it.

    Layers draw their initial weights and what they drop from the global generator, and take no
    other. It is borrowed under a lock: two threads drawing at once would mix their numbers.
    """
    with _torch_global, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


#: Held while torch's global generator is borrowed; one thread may borrow it within itself.
_torch_global = threading.RLock()


def lot(purpose: str, participant: int, count: int) -> int:
    """Return which of some kinds a participant is, by lot, the same in every run.

    Its index modulo their number would not do: those who are hostile are spaced evenly, and with
    every fourth hostile all would be of one kind of four.

    Args:
        purpose: as for ``sequence``.
        participant: the participant's index.
        count: how many kinds there are, 1 or more.

    Returns:
        0 to ``count - 1``.
    """
    return int(generator(0, purpose, participant=participant).integers(count))
