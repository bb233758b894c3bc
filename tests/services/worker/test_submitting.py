"""Tests of submitting updates: lost connections, lost receipts, refusals, retries."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import grpc
import numpy as np
import pytest

from fedsiege.services import retry
from fedsiege.services.errors import Malformed, NotFound, Refusal
from fedsiege.services.rpc.channel import TRANSIENT, connect, data_plane
from fedsiege.services.rpc.tensors import CHUNK_BYTES, Assembly
from fedsiege.services.worker import submitting
from fedsiege.services.worker.submitting import Sender, Update
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

Code = grpc.StatusCode
Receipt = pb.UpdateReceipt


class Aggregator(rpc.AggregatorServiceServicer):
    """An aggregator that accepts every update; a test may change each answer before it is sent."""

    def __init__(self) -> None:
        self.calls: list[list[pb.SubmitUpdatesRequest]] = []
        self.taken: dict[int, np.ndarray] = {}
        self.refused: dict[int, Receipt] = {}
        self.spoil: list[Callable[[pb.SubmitUpdatesResponse], object]] = []

    async def SubmitUpdates(self, request_iterator, context):
        messages = []
        async for message in request_iterator:
            messages.append(message)
            if message.answer:
                yield await self._answer(messages, context)
                messages = []

    async def _answer(self, messages, context):
        self.calls.append(messages)
        response = pb.SubmitUpdatesResponse()
        for index, update in unpacked(messages):
            receipt = response.receipts.add(round=3, participant_index=index)
            if index in self.refused:
                receipt.CopyFrom(self.refused[index])
            elif index in self.taken:
                receipt.code, receipt.reason = Code.ALREADY_EXISTS.value[0], "DUPLICATE_UPDATE"
            else:
                self.taken[index] = update
        if self.spoil:
            error = self.spoil.pop(0)(response)
            if isinstance(error, Exception):
                raise error
            if isinstance(error, grpc.StatusCode):
                await context.abort(error, "by the test")
        return response


def unpacked(messages: list[pb.SubmitUpdatesRequest]) -> list[tuple[int, np.ndarray]]:
    found, assembly = [], None
    for piece in [piece for message in messages for piece in message.pieces]:
        if piece.HasField("header"):
            header = piece.header
            assert (header.federation_id, header.round) == ("f", 3)
            assert header.credential == b"secret %d" % header.participant_index
            assembly = Assembly(header.shape[0], header.checksum)
            found.append((header, assembly))
        assembly.add(piece.chunk.offset, piece.chunk.data)
    return [(header.participant_index, assembly.finish()) for header, assembly in found]


@pytest.fixture
def aggregator(monkeypatch) -> Aggregator:
    impatient = partial(retry.attempts, 0.001, 0.01)
    monkeypatch.setattr(submitting, "attempts", impatient)
    return Aggregator()


def updates(count: int, size: int = 5) -> list[Update]:
    rng = np.random.default_rng(0)
    return [Update(i, rng.normal(size=size).astype(np.float32), 7, 3) for i in range(count)]


async def submit(
    serve, aggregator: Aggregator, sent: list[Update], seconds: float = 10.0
) -> list[Refusal]:
    credentials = {update.index: b"secret %d" % update.index for update in sent}
    async with connect(await serve(aggregator)) as line:
        sender = Sender(data_plane(line), "f", credentials)
        return await sender.submit(3, sent, time.monotonic() + seconds)


@pytest.mark.parametrize(
    ("count", "size", "messages"),
    [
        (1, 1, 1),
        (300, 5, 1),
        (5, CHUNK_BYTES // 16, 2),
        (5, CHUNK_BYTES // 8, 3),
        (3, CHUNK_BYTES // 4, 3),
        (2, CHUNK_BYTES // 4 + 1, 4),
        (2, CHUNK_BYTES, 8),
    ],
)
async def test_updates_of_any_size_arrive_in_few_messages_that_fit(
    serve, aggregator, count, size, messages
):
    sent = updates(count, size)
    assert await submit(serve, aggregator, sent) == []
    (call,) = aggregator.calls
    assert len(call) == messages
    assert max(message.ByteSize() for message in call) < 2 * CHUNK_BYTES
    assert sorted(aggregator.taken) == list(range(count))
    for update in sent:
        np.testing.assert_array_equal(aggregator.taken[update.index], update.delta)


async def test_refusals_are_returned_and_not_retried(serve, aggregator):
    aggregator.refused[1] = Receipt(
        code=Code.INVALID_ARGUMENT.value[0], reason="NOT_FINITE", message="a NaN"
    )
    found = await submit(serve, aggregator, updates(3))
    assert found == [Refusal(Code.INVALID_ARGUMENT, "NOT_FINITE", "a NaN")]
    assert len(aggregator.calls) == 1


async def test_a_lost_receipt_does_not_count_as_a_duplicate(serve, aggregator):
    aggregator.spoil = [lambda _: Code.UNAVAILABLE, lambda _: Code.CANCELLED]
    assert await submit(serve, aggregator, updates(3)) == []
    assert len(aggregator.calls) == 3
    assert len(aggregator.taken) == 3


async def test_a_refusal_is_kept_after_a_lost_receipt(serve, aggregator):
    aggregator.refused[2] = Receipt(
        code=Code.ALREADY_EXISTS.value[0], reason="UPDATE_REFUSED", message="a NaN"
    )
    aggregator.spoil = [lambda _: Code.UNAVAILABLE]
    (found,) = await submit(serve, aggregator, updates(3))
    assert found.reason == "UPDATE_REFUSED"


async def test_a_duplicate_at_the_first_attempt_is_a_refusal(serve, aggregator):
    aggregator.taken[0] = np.zeros(5)
    (found,) = await submit(serve, aggregator, updates(2))
    assert found.reason == "DUPLICATE_UPDATE"


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_an_update_without_a_receipt_is_sent_again(serve, aggregator, kept):
    def cut_short(response: pb.SubmitUpdatesResponse) -> None:
        for receipt in response.receipts[kept:]:
            aggregator.taken.pop(receipt.participant_index)
        del response.receipts[kept:]

    aggregator.spoil = [cut_short]
    assert await submit(serve, aggregator, updates(3)) == []
    assert len(aggregator.taken) == 3, "what is said to be in is in"
    assert len(aggregator.calls) == 2


async def test_an_update_that_never_gets_a_receipt_is_a_refusal(serve, aggregator, monkeypatch):
    def cut_short(response: pb.SubmitUpdatesResponse) -> None:
        del response.receipts[2:]
        clock.now = 11.0

    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(submitting, "time", clock)
    aggregator.spoil = [cut_short]
    async with connect(await serve(aggregator)) as line:
        credentials = {index: b"secret %d" % index for index in range(4)}
        sender = Sender(data_plane(line), "f", credentials)
        found = await sender.submit(3, updates(4), deadline=10.0)
    assert [one.message for one in found] == ["the aggregator gave no receipt"] * 2


async def test_retries_end_at_the_deadline(serve, aggregator):
    aggregator.spoil = [lambda _: Code.UNAVAILABLE] * 10_000
    found = await submit(serve, aggregator, updates(3), seconds=0.1)
    assert len(found) == 3
    # CANCELLED: grpc.aio cancels a call that is under way when its time is up.
    assert {one.code for one in found} <= {*TRANSIENT, Code.DEADLINE_EXCEEDED}
    assert len(aggregator.calls) > 1


@pytest.mark.parametrize(
    "error", [NotFound("UNKNOWN_FEDERATION", "no 'f'"), Malformed("TOO_MANY_UPDATES", "so many")]
)
async def test_permanent_errors_are_not_retried(serve, aggregator, error):
    aggregator.spoil = [lambda _: error]
    found = await submit(serve, aggregator, updates(2))
    assert [one.reason for one in found] == [error.reason] * 2
    assert len(aggregator.calls) == 1


class CancellingStub:
    """Fails as grpc.aio does when the connection is lost during a write."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.calls = 0
        self.asked = asyncio.Event()

    def SubmitUpdates(self):
        self.calls += 1
        return self

    async def write(self, message):
        self.asked.set()
        while self.left > 1:
            await asyncio.Event().wait()
        if self.left == 1:
            self.left = 0
            raise asyncio.CancelledError

    async def read(self):
        return pb.SubmitUpdatesResponse(receipts=[Receipt()])

    def cancel(self):
        pass


async def test_a_connection_lost_at_the_end_of_the_stream_is_retried(aggregator):
    stub = CancellingStub(1)
    sender = Sender(stub, "f", {0: b"secret 0"})
    assert await sender.submit(3, updates(1), time.monotonic() + 10) == []
    stub = CancellingStub(1)
    sender = Sender(stub, "f", {0: b"secret 0"})
    (found,) = await sender.submit(3, updates(1), time.monotonic() - 1)
    assert (found.code, found.message) == (Code.CANCELLED, "the connection was lost")


async def test_a_cancelled_sender_stops(aggregator):
    stub = CancellingStub(2)
    sender = Sender(stub, "f", {0: b"secret 0"})
    sending = asyncio.create_task(sender.submit(3, updates(1), time.monotonic() + 10))
    await asyncio.wait_for(stub.asked.wait(), 10)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert stub.calls == 1, "it is not tried again"


async def test_submitting_waits_for_the_aggregator_to_start(serve, aggregator, free_port):
    async with connect(f"127.0.0.1:{free_port}") as line:
        sender = Sender(data_plane(line), "f", {0: b"secret 0"})
        sending = asyncio.create_task(sender.submit(3, updates(1), time.monotonic() + 10))
        await asyncio.sleep(0.02)
        assert not sending.done()
        await serve(aggregator, free_port)
        assert await sending == []
    assert list(aggregator.taken) == [0]


async def test_a_participant_without_a_secret_is_an_error_at_once(serve, aggregator):
    async with connect(await serve(aggregator)) as line:
        sender = Sender(data_plane(line), "f", {0: b"secret 0"})
        with pytest.raises(KeyError):
            await sender.submit(3, updates(2), time.monotonic() + 10)
    assert aggregator.calls == []
