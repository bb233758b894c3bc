"""Tests of pulling a model from an aggregator, which may send anything."""

import asyncio
import tracemalloc
from collections.abc import Callable

import grpc
import numpy as np
import pytest

from fedsiege.services.errors import Damaged, Malformed, NotFound, Refusal
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.pulling import ModelStream
from fedsiege.services.rpc.tensors import encode_model
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

#: More than one chunk.
SIZE = 600_001
WEIGHTS = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)

Messages = list[pb.GetModelResponse]


def honest() -> Messages:
    return [pb.GetModelResponse.FromString(m) for m in encode_model(4, [("w", (SIZE,))], WEIGHTS)]


class Aggregator(rpc.AggregatorServiceServicer):
    def __init__(self, bend: Callable[[Messages], Messages]) -> None:
        self.bend = bend
        self.asked: list[pb.GetModelRequest] = []
        self.calls = 0

    async def GetModel(self, request_iterator, context):
        self.calls += 1
        async for request in request_iterator:
            self.asked.append(request)
            if request.federation_id == "gone":
                raise NotFound("UNKNOWN_FEDERATION", "there is no federation 'gone'")
            messages = self.bend(honest())
            for message in messages:
                yield message
            if len(messages) < len(honest()):
                return


def announcing(byte_length: int) -> Callable[[Messages], Messages]:
    def bend(messages: Messages) -> Messages:
        messages[0].header.manifest.byte_length = byte_length
        return messages

    return bend


def flipped(messages: Messages) -> Messages:
    data = bytearray(messages[1].chunk.data)
    data[12_345] ^= 1
    messages[1].chunk.data = bytes(data)
    return messages


def without_header(messages: Messages) -> Messages:
    messages[0].ClearField("header")
    return messages


async def pulled(serve, bend: Callable[[Messages], Messages], federation_id: str = "f"):
    servicer = Aggregator(bend)
    async with connect(await serve(servicer)) as channel:
        found = await ModelStream(rpc.AggregatorServiceStub(channel)).pull(federation_id, 4, SIZE)
    assert [(one.federation_id, one.round) for one in servicer.asked] == [("f", 4)]
    return found


async def test_a_model_arrives_bit_for_bit(serve):
    weights, header = await pulled(serve, lambda messages: messages)
    assert weights.tobytes() == WEIGHTS.tobytes()
    assert header.round == 4
    assert header.manifest.tensors[0].name == "w"


async def test_models_share_one_call_that_reopens_after_it_ended(serve):
    servicer = Aggregator(lambda messages: messages)
    async with connect(await serve(servicer)) as channel:
        models = ModelStream(rpc.AggregatorServiceStub(channel))
        for number in (1, 2):
            await models.pull("f", number, SIZE)
        assert servicer.calls == 1
        models.close()
        asking = asyncio.create_task(models.pull("f", 3, SIZE))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        weights, _ = await models.pull("f", 4, SIZE)
        weights[0] = 7.0  # the caller's own
        models.close()


async def test_extra_messages_after_a_model_affect_only_the_next_one(serve):
    async with connect(await serve(Aggregator(lambda m: [*m, m[-1]]))) as channel:
        models = ModelStream(rpc.AggregatorServiceStub(channel))
        await models.pull("f", 1, SIZE)
        with pytest.raises(Malformed, match="0 bytes"):
            await models.pull("f", 1, SIZE)
        await models.pull("f", 1, SIZE)
        models.close()


LIES = {
    "smaller": (announcing(4 * SIZE - 4), Malformed, "WRONG_SHAPE", str(4 * SIZE)),
    "larger": (announcing(4 * SIZE + 4), Malformed, "WRONG_SHAPE", str(4 * SIZE + 4)),
    "a petabyte": (announcing(2**50), Malformed, "WRONG_SHAPE", str(2**50)),
    "nothing announced": (without_header, Malformed, "WRONG_SHAPE", "0 bytes"),
    "damaged": (flipped, Damaged, "CHECKSUM_MISMATCH", "checksum"),
    "truncated": (lambda m: m[:-1], Damaged, "TRUNCATED", str(4 * SIZE)),
    "the header only": (
        lambda m: [pb.GetModelResponse(header=m[0].header)],
        Malformed,
        "MALFORMED_STREAM",
        "chunk of 0 bytes",
    ),
    "a hole": (lambda m: [m[0], m[2]], Malformed, "MALFORMED_STREAM", "begins at byte"),
    "no message": (lambda m: [], Malformed, "MALFORMED_STREAM", "no model"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_invalid_model_is_refused(serve, lie):
    bend, kind, reason, words = LIES[lie]
    with pytest.raises(kind, match=words) as caught:
        await pulled(serve, bend)
    assert caught.value.reason == reason


async def test_no_memory_is_allocated_for_an_announced_size(serve):
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            await pulled(serve, lambda messages: announcing(2**50)(messages)[:1])
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


async def test_a_refusal_is_passed_on(serve):
    async with connect(await serve(Aggregator(lambda m: m))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ModelStream(rpc.AggregatorServiceStub(channel)).pull("gone", 4, SIZE)
    assert Refusal.of(caught.value).reason == "UNKNOWN_FEDERATION"
