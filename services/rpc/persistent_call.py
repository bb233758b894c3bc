"""A bidirectional streaming call that stays open for many exchanges of messages.

Opening and closing a call dominates the cost of a round for a worker with few participants, and for
the server. Over a call that stays open only the messages remain.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc


class PersistentCall:
    """One call that opens on first use, and again after it ended.

    Args:
        method: opens a call: a method of a stub with a stream in both directions.
    """

    def __init__(self, method: Callable[[], Any]) -> None:
        self._method = method
        self._call: Any = None  # grpc.aio's calls are generic in stubs only
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def exchange(self) -> AsyncIterator[None]:
        """Hold the call for one exchange of messages; others wait.

        An exchange that fails or is cancelled closes the call, which could hold half an answer.
        """
        async with self._lock:
            try:
                yield
            except BaseException:
                self.close()
                raise

    async def write(self, message: Any) -> None:
        """Send a message.

        Raises:
            grpc.aio.AioRpcError: the call has ended.
        """
        if self._call is None:
            self._call = self._method()
        try:
            await self._call.write(message)
        except asyncio.InvalidStateError:  # the call had ended before this write
            raise await self._error() from None
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INTERNAL:
                raise
            # The call ended during the write, and grpc.aio drops its status: a retry shows it.
            metadata = error.initial_metadata(), error.trailing_metadata()
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE, *metadata, "the call ended during a message"
            ) from error

    async def read(self) -> Any:
        """Return the next message; None if the server has ended the call with OK.

        Raises:
            grpc.aio.AioRpcError: the call ended with an error.
        """
        response = await self._call.read()
        if response is not grpc.aio.EOF:
            return response
        if await self._call.code() is not grpc.StatusCode.OK:
            raise await self._error()
        return None

    async def _error(self) -> grpc.aio.AioRpcError:
        """Return the status of the ended call as an error."""
        call = self._call
        metadata = await call.initial_metadata(), await call.trailing_metadata()
        return grpc.aio.AioRpcError(await call.code(), *metadata, await call.details())

    def close(self) -> None:
        """Cancel the call, if one is open."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
