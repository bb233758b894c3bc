"""Pulling a model from the aggregator."""

from collections.abc import AsyncIterator

from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.errors import Malformed
from services.rpc.channel import patiently
from services.rpc.exchange import Exchange
from services.rpc.tensors import FLOAT_BYTES, Assembly, Floats


async def pull_model(
    aggregator: "rpc.AggregatorServiceAsyncStub",
    federation_id: str,
    round_number: int,
    size: int,
    *,
    even_closed: bool = False,
    deadline: float | None = None,
    exchange: Exchange | None = None,
) -> tuple[Floats, pb.ModelHeader]:
    """Pull a global model.

    Args:
        aggregator: the data plane.
        federation_id: whose model.
        round_number: the round to take part in; 0 for the current model.
        size: how many parameters it must have. Checked before memory is given: an aggregator that
            announces a petabyte gets none.
        even_closed: only look: the model of a round that has just closed will do, too.
        deadline: until when a line that breaks is opened again, on the clock of
            ``time.monotonic``; None to try once.
        exchange: a standing stream to pull it over; None for a call of its own.

    Returns:
        ``(d,)`` the weights, the caller's own, and the header.

    Raises:
        Malformed, Damaged: the model is not what it should be.
        Refused: the aggregator refused over the standing stream.
        grpc.aio.AioRpcError: the aggregator refused, or cannot be reached.
    """
    request = pb.GetModelRequest(
        federation_id=federation_id, round=round_number, even_closed=even_closed
    )
    return await patiently(lambda: _pull(aggregator, request, size, exchange), deadline)


async def _pull(
    aggregator: "rpc.AggregatorServiceAsyncStub",
    request: pb.GetModelRequest,
    size: int,
    exchange: Exchange | None,
) -> tuple[Floats, pb.ModelHeader]:
    """Pull a model once."""
    header: pb.ModelHeader | None = None
    assembly = Assembly(size, 0)
    answers = aggregator.GetModel(request) if exchange is None else _only(exchange, request)
    async for message in answers:
        if header is None:
            header = message.header
            announced = header.manifest.byte_length
            if announced != size * FLOAT_BYTES:
                raise Malformed(
                    "WRONG_SHAPE",
                    f"the aggregator sends a model of {announced} bytes; {size * FLOAT_BYTES} "
                    "were expected",
                )
            assembly.checksum = header.manifest.checksum
        assembly.add(message.chunk)
    if header is None:
        raise Malformed("MALFORMED_STREAM", "the aggregator sent no model")
    weights = assembly.finish()
    return weights if weights.flags.writeable else weights.copy(), header


async def _only(
    exchange: Exchange, request: pb.GetModelRequest
) -> AsyncIterator[pb.GetModelResponse]:
    yield await exchange.model(request)
