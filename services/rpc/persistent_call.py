"""A call with a stream each way that is kept for many questions and answers.

Setting up and ending a call is most of what a round costs a worker with few participants, and the
server too. Over a call that stays open a message is all that is left of each.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc


class PersistentCall:
    """One call. It opens when first used, and again after it broke.

    Args:
        method: opens a call; a stub's method.
    """

    def __init__(self, method: Callable[[], Any]) -> None:
        self._method = method
        self._call: Any = None  # grpc.aio's calls are generic in stubs only
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def exchange(self) -> AsyncIterator[None]:
        """Keep other questions out until this one is answered.

        After half a question, or half an answer, the call is of no use and is closed.
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
            grpc.aio.AioRpcError: the call broke.
        """
        if self._call is None:
            self._call = self._method()
        try:
            await self._call.write(message)
        except asyncio.InvalidStateError:  # it ended before this was written
            raise await self._error() from None
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INTERNAL:
                raise
            # It ended meanwhile, and grpc.aio drops the status: the next call tells it.
            metadata = error.initial_metadata(), error.trailing_metadata()
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE, *metadata, "the call ended during a message"
            ) from error

    async def read(self) -> Any:
        """Return the next message; None where the server has ended the call without an error.

        Raises:
            grpc.aio.AioRpcError: the call broke, or the server refused.
        """
        response = await self._call.read()
        if response is not grpc.aio.EOF:
            return response
        if await self._call.code() is not grpc.StatusCode.OK:
            raise await self._error()
        return None

    async def _error(self) -> grpc.aio.AioRpcError:
        """Return why the call ended."""
        call = self._call
        metadata = await call.initial_metadata(), await call.trailing_metadata()
        return grpc.aio.AioRpcError(await call.code(), *metadata, await call.details())

    def close(self) -> None:
        """End the call."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
