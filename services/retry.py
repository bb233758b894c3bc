"""Exponential backoff with jitter."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator


def pauses(first: float = 0.1, longest: float = 3.0) -> Iterator[float]:
    """Yield waits in seconds without end, which double up to a maximum.

    Each wait is multiplied by a random factor from 0.5 to 1.5.

    Args:
        first: the first wait in seconds.
        longest: the longest wait in seconds.
    """
    pause = first
    while True:
        # Not for cryptography: the jitter keeps fifty workers from reconnecting at the same time.
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311
        pause = min(longest, pause * 2)


async def attempts(first: float = 0.1, longest: float = 3.0) -> AsyncIterator[int]:
    """Yield 0, 1, 2 ... without end, with a wait in between: see ``pauses``."""
    for number, pause in enumerate(pauses(first, longest)):
        yield number
        await asyncio.sleep(pause)
