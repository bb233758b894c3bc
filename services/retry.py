"""Exponential backoff with jitter."""

import asyncio
import random
from collections.abc import AsyncIterator


async def attempts(first: float = 0.1, longest: float = 3.0) -> AsyncIterator[int]:
    """Yield 0, 1, 2 ... without end, with a wait in between that doubles up to a maximum.

    Each wait is multiplied by a random factor from 0.5 to 1.5.

    Args:
        first: the first wait in seconds.
        longest: the longest wait in seconds.
    """
    number, pause = 0, first
    while True:
        yield number
        # Not for cryptography: the jitter keeps fifty workers from reconnecting at the same time.
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
        number, pause = number + 1, min(longest, pause * 2)
