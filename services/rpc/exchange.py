"""A worker's standing stream to the aggregator: models down and updates up, no call for each.

Setting up and ending two calls is most of what a round costs a worker with few participants, and
the server too. Over one stream a message is all that is left of each.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from fedsiege.errors import FedSiegeError
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.errors import Malformed, Refusal
from services.rpc.tensors import CHUNK_BYTES, FLOAT_BYTES


class Refused(FedSiegeError):
    """The aggregator refused a request; the stream goes on.

    Args:
        refusal: why.
    """

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"the aggregator refused: {refusal}")


def fits(size: int) -> bool:
    """Return whether a model of so many parameters goes over a standing stream."""
    return size * FLOAT_BYTES <= CHUNK_BYTES


class Exchange:
    """One standing stream. It opens when first used, and again after it broke.

    Args:
        aggregator: the data plane.
    """

    def __init__(self, aggregator: "rpc.AggregatorServiceAsyncStub") -> None:
        self._aggregator = aggregator
        self._call: Any = None  # grpc.aio's calls are generic in stubs only
        self._turn = asyncio.Lock()

    async def model(self, request: pb.GetModelRequest) -> pb.GetModelResponse:
        """Ask for a model.

        Raises:
            Refused: the aggregator does not give it.
            grpc.aio.AioRpcError: the stream broke.
        """
        response = await self._ask([pb.ExchangeRequest(get_model=request)])
        if response.HasField("refusal"):
            raise Refused(Refusal.over_a_stream(response.refusal))
        if not response.HasField("model"):
            raise Malformed("MALFORMED_STREAM", "the aggregator answered with something else")
        return response.model

    async def submit(self, messages: Iterable[pb.SubmitUpdatesRequest]) -> pb.SubmitUpdatesResponse:
        """Send updates and return their receipts.

        Raises:
            grpc.aio.AioRpcError: the stream broke; what became of them is not known.
        """
        response = await self._ask(_the_last_marked(messages))
        if not response.HasField("receipts"):
            raise Malformed("MALFORMED_STREAM", "the aggregator answered with something else")
        return response.receipts

    async def _ask(self, requests: Iterable[pb.ExchangeRequest]) -> pb.ExchangeResponse:
        """Ask and wait for the answer; after half of that the stream is no good any more."""
        async with self._turn:
            try:
                return await self._answer_to(requests)
            except BaseException:
                self.close()
                raise

    async def _answer_to(self, requests: Iterable[pb.ExchangeRequest]) -> pb.ExchangeResponse:
        if self._call is None:
            self._call = self._aggregator.Exchange()
        call = self._call
        try:
            for request in requests:
                await call.write(request)
            response = await call.read()
        except asyncio.InvalidStateError:  # it ended before this was written
            response = grpc.aio.EOF
        if response is grpc.aio.EOF:
            details = await call.initial_metadata(), await call.trailing_metadata()
            raise grpc.aio.AioRpcError(await call.code(), *details, await call.details())
        return response  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the stream."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


def _the_last_marked(
    messages: Iterable[pb.SubmitUpdatesRequest],
) -> Iterator[pb.ExchangeRequest]:
    """Yield the messages as requests, one held back to know which is the last."""
    held: pb.ExchangeRequest | None = None
    for message in messages:
        if held is not None:
            yield held
        held = pb.ExchangeRequest(updates=message)
    if held is not None:
        held.last = True
        yield held
