"""Pauses between attempts."""

import asyncio
import random
from collections.abc import AsyncIterator


async def attempts(first: float = 0.1, longest: float = 3.0) -> AsyncIterator[int]:
    """Yield 0, 1, 2 ... without end, waiting longer and longer in between, with jitter.

    Args:
        first: the first wait, seconds.
        longest: the longest wait, seconds.
    """
    number, pause = 0, first
    while True:
        yield number
        # Jitter is no secret: it keeps fifty workers from knocking in step.
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
        number, pause = number + 1, min(longest, pause * 2)
