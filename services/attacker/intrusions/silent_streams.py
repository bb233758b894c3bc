"""Open streams and send nothing, so that each takes resources of the server."""

import asyncio

import grpc

from fedsiege.services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from fedsiege.services.errors import Refusal

#: Seconds after which a stream that is still open counts as a success.
OPEN_LIMIT = 20.0


class SilentStreams(Intrusion):
    """Open streams for updates and send nothing, so that each takes resources of the server.

    The intruder has what any participant has. It aims at exhausting the server. It opens ``count``
    streams at once and waits until the server ends them. A stream that is still open after 20 s
    counts as a success; the server ends a call whose first message has not arrived after 10 s.

    Source:
        FedSiege's own: see :doc:`/admission`.
    """

    name = "silent-streams"

    async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
        """Open all at once; wait until the server ends them, at most ``OPEN_LIMIT`` seconds."""

        async def stay_silent() -> None:
            call = context.aggregator.SubmitUpdates()
            try:
                async with asyncio.timeout(OPEN_LIMIT):
                    code = await call.code()
            except TimeoutError:
                call.cancel()
                attempts.passed()
            else:
                attempts.refused(await _refusal(call, code))

        await asyncio.gather(*(stay_silent() for _ in range(count)))


async def _refusal(call: "grpc.aio.StreamStreamCall", code: grpc.StatusCode) -> Refusal:  # type: ignore[type-arg]
    error = grpc.aio.AioRpcError(
        code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )
    return Refusal.of(error)
