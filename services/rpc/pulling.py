"""The client side of GetModel: pulls models from the aggregator."""

from fedsiege.services.errors import Malformed
from fedsiege.services.rpc.channel import call_with_retry
from fedsiege.services.rpc.persistent_call import PersistentCall
from fedsiege.services.rpc.tensors import FLOAT_BYTES, Assembly, Floats
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc


class ModelStream:
    """Pulls models over one GetModel call that stays open.

    Args:
        aggregator: the aggregator's stub.
    """

    def __init__(self, aggregator: "rpc.AggregatorServiceAsyncStub") -> None:
        self._call = PersistentCall(aggregator.GetModel)

    async def pull(
        self,
        federation_id: str,
        round_number: int,
        size: int,
        *,
        even_closed: bool = False,
        deadline: float | None = None,
    ) -> tuple[Floats, pb.ModelHeader]:
        """Pull a global model.

        Args:
            federation_id: the federation of the model.
            round_number: the round that starts from the model; 0 for the current model.
            size: the expected number of parameters, checked before memory is allocated.
            even_closed: whether to accept a round that has just closed.
            deadline: when to stop reconnecting, on the clock of ``time.monotonic``; None for one
                attempt.

        Returns:
            The weights, ``(d,)``, as a writable array of the caller's own, and the header.

        Raises:
            Malformed: the model has another size, or its chunks are out of order.
            Damaged: bytes are missing, or the checksum differs.
            grpc.aio.AioRpcError: the aggregator refused, or could not be reached.
        """
        request = pb.GetModelRequest(
            federation_id=federation_id, round=round_number, even_closed=even_closed
        )
        return await call_with_retry(lambda: self._pull(request, size), deadline)

    async def _pull(self, request: pb.GetModelRequest, size: int) -> tuple[Floats, pb.ModelHeader]:
        """Pull a model once."""
        async with self._call.exchange():
            await self._call.write(request)
            header: pb.ModelHeader | None = None
            assembly = Assembly(size, 0)
            while not assembly.complete and (message := await self._call.read()) is not None:
                if header is None:
                    header = message.header
                    _check_size(header, size)
                    assembly.checksum = header.manifest.checksum
                assembly.add(message.chunk.offset, message.chunk.data)
            if header is None:
                raise Malformed("MALFORMED_STREAM", "the aggregator sent no model")
            weights = assembly.finish()
        return weights if weights.flags.writeable else weights.copy(), header

    def close(self) -> None:
        """End the call."""
        self._call.close()


def _check_size(header: pb.ModelHeader, size: int) -> None:
    announced = header.manifest.byte_length
    if announced != size * FLOAT_BYTES:
        raise Malformed(
            "WRONG_SHAPE",
            f"the aggregator sends a model of {announced} bytes instead of {size * FLOAT_BYTES}",
        )
