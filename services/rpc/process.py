"""How a service process begins and ends."""

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from fedsiege.peer_text import plain

log = logging.getLogger(__name__)

# glibc's names for the two thresholds of mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
#: Characters of a message in the log.
_LONGEST_MESSAGE = 2_000


def tune_allocator() -> None:
    """Keep large buffers in the process instead of returning each to the kernel.

    glibc maps every buffer above 128 KiB and unmaps it when freed; for a stream of 1 MiB chunks
    that is a page fault per 4 KiB. Keeping them tripled the speed of a 64 MiB pull. The variables
    MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ do the same from outside and win if set. Does
    nothing where the C library has no mallopt.
    """
    if "MALLOC_MMAP_THRESHOLD_" in os.environ or not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, 64 << 20)
        library.mallopt(_M_TRIM_THRESHOLD, 256 << 20)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import something large without the garbage collector.

    What an import makes stays, but the collector looks through it again and again while it grows: a
    tenth of torch's import. Fifty containers that start on two cores wait for that.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class OneLine(logging.Formatter):
    """Writes an event as one printable line; the lines of a traceback are marked as such.

    Messages and errors hold what peers have said.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write the message on one line."""
        record.message = plain(record.message, _LONGEST_MESSAGE)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # as the base class has it
        """Write a traceback, every line of it marked."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  | {plain(line, _LONGEST_MESSAGE)}" for line in lines)


def set_up_logging(service: str, level: str = "INFO") -> None:
    """Log to standard error, one line per event, with the service's name."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        OneLine(f"%(asctime)s {service:<10} %(levelname)-7s %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)


async def _run_until_signalled(main: Callable[[], Awaitable[None]]) -> None:
    """Run ``main``; SIGTERM and SIGINT cancel it, so that every ``finally`` runs."""
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a service's coroutine to its end or until SIGTERM or SIGINT."""
    asyncio.run(_run_until_signalled(main))
