"""Start and stop of a service process: allocator, logging, signals."""

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
    that is a page fault per 4 KiB. Keeping them tripled the speed of a 64 MiB pull. The environment
    variables MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ do the same and take precedence.
    Does nothing where the C library has no mallopt.
    """
    if "MALLOC_MMAP_THRESHOLD_" in os.environ or not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, 64 << 20)
        library.mallopt(_M_TRIM_THRESHOLD, 256 << 20)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Disable the garbage collector during a large import.

    The objects that an import creates stay, and the collector scans them repeatedly while their
    number grows: a tenth of the time of torch's import, which fifty containers on two cores feel.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class OneLine(logging.Formatter):
    """Formats a log event as one printable line, and prefixes the lines of a traceback.

    Messages and errors contain text from peers, which must not forge lines of the log.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format the message as one printable line."""
        record.message = plain(record.message, _LONGEST_MESSAGE)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # as the base class has it
        """Format a traceback with a prefix on every line."""
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
