"""Open streams and say nothing, so that a server holds something for each of them."""

import asyncio

import grpc

from services.attacker.intrusions.base import Attempts, Foothold, Intrusion
from services.errors import Refusal

#: Seconds after which a stream that is still open counts as a success.
LONG = 20.0


class SilentStreams(Intrusion):
    """Opens streams of updates and never sends one."""

    name = "silent-streams"

    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Open all of them at once and wait until they are cut off, or for ``LONG``."""

        async def say_nothing() -> None:
            call = foothold.aggregator.SubmitUpdates()
            try:
                async with asyncio.timeout(LONG):
                    code = await call.code()
            except TimeoutError:
                call.cancel()
                attempts.passed()
            else:
                attempts.refused(await _refusal(call, code))

        await asyncio.gather(*(say_nothing() for _ in range(count)))


async def _refusal(call: "grpc.aio.StreamStreamCall", code: grpc.StatusCode) -> Refusal:  # type: ignore[type-arg]
    error = grpc.aio.AioRpcError(
        code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )
    return Refusal.of(error)
