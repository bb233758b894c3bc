"""Random numbers that depend only on (run seed, purpose, round, participant).

Two runs of the same specification draw the same numbers, for any number of workers and any order of
messages.
"""

import hashlib
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
    """Return the seed sequence of one stream of random numbers.

    Args:
        seed: the run's seed, 0 to 2**64 - 1.
        purpose: a name for the stream, such as "batch order"; different names are independent.
        round_number: the round; 0 for a stream that is used once per run.
        participant: the participant's index; 0 for a stream that all participants share.

    Raises:
        InvalidValue: the seed is out of its range.
    """
    if not 0 <= seed < 2**64:
        raise InvalidValue("seed", seed, "a whole number from 0 to 2**64 - 1")
    return np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), round_number, participant])


def generator(
    seed: int, purpose: str, round_number: int = 0, participant: int = 0
) -> np.random.Generator:
    """Return a numpy generator for one stream; arguments as for ``sequence``."""
    return np.random.Generator(np.random.PCG64(sequence(seed, purpose, round_number, participant)))


def torch_generator(
    seed: int, purpose: str, round_number: int = 0, participant: int = 0
) -> torch.Generator:
    """Return a CPU torch generator for one stream; arguments as for ``sequence``.

    Torch keeps 32 bits of a CPU seed, which is enough for a few streams per run, such as initial
    weights. Among 100,000 streams, as by round and participant, two would probably be equal; use
    ``generator`` for those.
    """
    return torch.Generator().manual_seed(torch_seed(seed, purpose, round_number, participant))


def torch_seed(seed: int, purpose: str, round_number: int = 0, participant: int = 0) -> int:
    """Return a seed for a torch generator, 0 to 2**63 - 1; arguments as for ``sequence``."""
    state = sequence(seed, purpose, round_number, participant).generate_state(1, np.uint64)
    return int(state[0]) & (2**63 - 1)


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator within the context, and restore it afterwards.

    Initialisation and dropout of layers use the global generator and take no other. A lock is held
    within the context, since two threads that draw at once would mix their numbers.
    """
    with _torch_global, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


#: Held while torch's global generator is seeded; reentrant.
_torch_global = threading.RLock()


def derived(seed: int, purpose: str) -> int:
    """Return a seed, 0 to 2**64 - 1, from which the run's seed cannot be computed.

    It can be found by trying all seeds that the run's may be, so the run's must not be guessable.

    Args:
        seed: the run's seed.
        purpose: what the derived seed is for.
    """
    digest = hashlib.sha256(f"{purpose}\0{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def random_group(purpose: str, participant: int, count: int) -> int:
    """Return a random group of a participant, 0 to ``count - 1``, the same in every run.

    The index modulo ``count`` would not do: hostile participants are spaced evenly, so with every
    fourth participant hostile all would be in one group of four.

    Args:
        purpose: see ``sequence``.
        participant: the participant's index.
        count: the number of groups, 1 or more.
    """
    return int(generator(0, purpose, participant=participant).integers(count))
