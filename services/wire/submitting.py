"""Submitting an update to the aggregator."""

import time

import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.wire.channel import TRANSIENT, attempts
from services.wire.errors import Refusal
from services.wire.tensors import Floats, encode_update


async def submit_update(
    aggregator: "rpc.AggregatorServiceAsyncStub",
    header: pb.UpdateHeader,
    delta: Floats,
    deadline: float,
) -> Refusal | None:
    """Submit one update; over a broken line it is tried again until the deadline.

    Args:
        aggregator: the data plane.
        header: federation, round, participant and credential.
        delta: ``(d,)`` contiguous.
        deadline: on the clock of ``time.monotonic``.

    Returns:
        None if the update was taken in, else why not.

    """
    async for attempt in attempts():
        try:
            await aggregator.SubmitUpdate(
                encode_update(header, delta), timeout=max(0.001, deadline - time.monotonic())
            )
        except grpc.aio.AioRpcError as error:
            refusal = Refusal.of(error)
            if error.code() in TRANSIENT and time.monotonic() < deadline:
                continue
            if attempt > 0 and refusal.reason == "DUPLICATE_UPDATE":
                return None  # the answer was lost, not the update
            return refusal
        return None
    raise AssertionError("attempts never end")
