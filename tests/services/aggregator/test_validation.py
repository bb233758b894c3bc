"""Tests of the validation in SubmitUpdates: every invalid update has its own refusal."""

import asyncio

import grpc
import numpy as np
import pytest

from fedsiege.services.aggregator import ingest
from fedsiege.services.errors import Refusal
from fedsiege.services.rpc.tensors import CHUNK_BYTES, checksum
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import tensors_pb2
from tests.services.conftest import receipts_of, refusal

Code = grpc.StatusCode
BAD = Code.INVALID_ARGUMENT


def ones(size: int, value: float = 1e-3) -> np.ndarray:
    return np.full(size, value, np.float32)


def with_value(federation, value: float) -> list[pb.UpdatePiece]:
    update = ones(federation.size)
    update[17] = value
    return federation.pieces(0, update)


def bent(federation, **header: object) -> list[pb.UpdatePiece]:
    """Return a valid update with a header that was changed afterwards."""
    messages = federation.pieces(0, ones(federation.size))
    for name, value in header.items():
        if name == "shape":
            messages[0].header.shape[:] = value
        else:
            setattr(messages[0].header, name, value)
    return messages


def chunk(offset: int, data: bytes) -> pb.UpdatePiece:
    return pb.UpdatePiece(chunk=tensors_pb2.TensorChunk(offset=offset, data=data))


def recut(federation, data: bytes, offset: int = 0) -> list[pb.UpdatePiece]:
    messages = federation.pieces(0, ones(federation.size))
    messages[0].chunk.data = data
    messages[0].chunk.offset = offset
    messages[0].header.checksum = checksum(data)
    return messages


#: What is sent; the status code, the reason and words of the answer; and whether the participant
#: has thereby had its say in this round (what can never be right) or may try again.
LIES = {
    "wrong shape": (lambda f: bent(f, shape=[f.size - 1]), BAD, "WRONG_SHAPE", "13105", True),
    "two dimensions": (lambda f: bent(f, shape=[2, 6553]), BAD, "WRONG_SHAPE", "13106", True),
    "wrong dtype": (
        lambda f: bent(f, data_type=tensors_pb2.DATA_TYPE_FLOAT64),
        BAD,
        "WRONG_DATA_TYPE",
        "FLOAT64",
        True,
    ),
    "unheard-of dtype": (lambda f: bent(f, data_type=77), BAD, "WRONG_DATA_TYPE", "77", True),
    "too many bytes": (
        lambda f: recut(f, bytes(4 * f.size + 4)),
        BAD,
        "TOO_MANY_BYTES",
        "52428",
        True,
    ),
    "more after the end": (
        lambda f: [*f.pieces(0, ones(f.size)), chunk(4 * f.size, b"more")],
        BAD,
        "TOO_MANY_BYTES",
        "52428",
        True,
    ),
    "a hole": (
        lambda f: recut(f, bytes(4 * f.size), offset=4),
        BAD,
        "MALFORMED_STREAM",
        "byte 4",
        True,
    ),
    "NaN": (lambda f: with_value(f, np.nan), BAD, "NOT_FINITE", "position 17", True),
    "Inf": (lambda f: with_value(f, -np.inf), BAD, "NOT_FINITE", "-inf", True),
    "absurdly large": (lambda f: with_value(f, 3e38), BAD, "TOO_LARGE", "3e+38", True),
    "a little too large": (lambda f: with_value(f, 1.1e15), BAD, "TOO_LARGE", "1.1e+15", True),
    "a second message without a chunk": (
        lambda f: [*f.pieces(0, ones(f.size)), pb.UpdatePiece()],
        BAD,
        "MALFORMED_STREAM",
        "no chunk",
        True,
    ),
    "damaged": (
        lambda f: bent(f, checksum=1),
        Code.DATA_LOSS,
        "CHECKSUM_MISMATCH",
        "0000000000000001",
        False,
    ),
    "future round": (lambda f: bent(f, round=9), Code.OUT_OF_RANGE, "FUTURE_ROUND", "9", False),
    "round zero": (
        lambda f: bent(f, round=0),
        Code.FAILED_PRECONDITION,
        "STALE_ROUND",
        "round 0",
        False,
    ),
    "unknown participant": (
        lambda f: bent(f, participant_index=99),
        Code.NOT_FOUND,
        "UNKNOWN_PARTICIPANT",
        "99",
        False,
    ),
    "somebody else's index": (
        lambda f: bent(f, participant_index=1),
        Code.UNAUTHENTICATED,
        "WRONG_CREDENTIAL",
        "participant 1",
        False,
    ),
    "unknown federation": (
        lambda f: bent(f, federation_id="nowhere"),
        Code.NOT_FOUND,
        "UNKNOWN_FEDERATION",
        "nowhere",
        False,
    ),
    "no header": (lambda f: [chunk(0, b"1234")], BAD, "MALFORMED_STREAM", "header", False),
}


@pytest.mark.parametrize("lie", LIES)
async def test_each_invalid_update_has_its_reason_and_the_round_continues(federation, lie: str):
    make, code, reason, words, heard = LIES[lie]
    before = await federation.model()
    refusal = await federation.refusal(make(federation))
    assert (refusal.code, refusal.reason) == (code, reason), refusal
    assert words in refusal.message

    if heard:
        again = await federation.refusal(federation.pieces(0, ones(federation.size)))
        assert again.reason == "UPDATE_REFUSED"
    else:
        await federation.submit(0, ones(federation.size))
    for index in range(1, 5):
        await federation.submit(index, ones(federation.size))
    entry = await federation.closed(1)
    assert (entry.updates, entry.rejected) == ((4, 1) if heard else (5, 0))
    np.testing.assert_allclose(await federation.model(), before + ones(federation.size), rtol=1e-6)


async def test_a_stale_round_is_refused(federation):
    for index in range(5):
        await federation.submit(index, ones(federation.size))
    await federation.closed(1)
    refusal = await federation.refusal(federation.pieces(0, ones(federation.size)))
    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "STALE_ROUND")
    await federation.open(2)
    refusal = await federation.refusal(federation.pieces(0, ones(federation.size)))
    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "STALE_ROUND")
    assert "round 1" in refusal.message
    assert "2" in refusal.message


async def test_a_second_update_is_refused_and_the_first_one_counts(federation):
    before = await federation.model()
    await federation.submit(0, ones(federation.size))
    refusal = await federation.refusal(federation.pieces(0, ones(federation.size, 9.0)))
    assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "DUPLICATE_UPDATE")
    for index in range(1, 5):
        await federation.submit(index, ones(federation.size))
    assert (await federation.closed(1)).updates == 5
    np.testing.assert_allclose(await federation.model(), before + ones(federation.size), rtol=1e-6)


async def test_a_participant_that_is_not_scheduled_is_refused(create):
    federation = await create()
    await federation.enroll(3)
    await federation.open(indices=[0, 2])
    refusal = await federation.refusal(federation.pieces(1, ones(federation.size)))
    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "NOT_SCHEDULED")


async def test_an_oversized_message_is_refused_before_it_is_read(federation):
    message = pb.UpdatePiece(chunk=tensors_pb2.TensorChunk(data=bytes(5 << 20)))
    assert (await federation.refusal([message])).code == Code.RESOURCE_EXHAUSTED
    await federation.submit(0, ones(federation.size))


async def test_invalid_bytes_are_refused(federation):
    call = federation.data_plane.SubmitUpdates(iter([b"\xff\xff\xff\xff no message"]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await receipts_of(call)
    assert Refusal.of(caught.value).reason == "MALFORMED_MESSAGE"
    assert caught.value.code() == Code.INVALID_ARGUMENT
    unary = federation.channel.unary_unary("/fedsiege.v1.AggregatorService/Enroll")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(b"\xff\xff\xff\xff")
    assert Refusal.of(caught.value).reason == "MALFORMED_MESSAGE"
    await federation.submit(0, ones(federation.size))


async def test_a_broken_stream_may_be_retried(create):
    federation = await create(model="cnn", rule="median")
    await federation.enroll(2)
    await federation.open()
    rng = np.random.default_rng(0)
    large = rng.normal(size=federation.size).astype(np.float32)
    first, *_ = federation.pieces(0, large)
    first.chunk.data = first.chunk.data[:70_000]
    died = asyncio.Event()

    async def half():
        yield pb.SubmitUpdatesRequest(pieces=[first])
        await died.wait()

    call = federation.stub.SubmitUpdates(half())
    await asyncio.sleep(0.2)
    refusal = await federation.refusal(federation.pieces(0, large))
    assert refusal.reason == "UPDATE_ARRIVING", "while it is arriving, nobody else may"
    call.cancel()
    died.set()
    await asyncio.sleep(0.2)
    before = await federation.model()
    await federation.submit(0, large)
    await federation.submit(1, large)
    assert (await federation.closed(1)).updates == 2
    np.testing.assert_array_equal(await federation.model(), before + large)


async def test_a_truncated_update_is_refused(create):
    federation = await create(model="cnn")
    await federation.enroll(1)
    await federation.open()
    messages = federation.pieces(0, ones(federation.size))
    messages[0].chunk.data = messages[0].chunk.data[:100_000]
    refusal = await federation.refusal(messages[:1])
    assert (refusal.code, refusal.reason) == (Code.DATA_LOSS, "TRUNCATED")
    assert "100000 of 559840" in refusal.message
    await federation.submit(0, ones(federation.size))


async def test_a_silent_participant_is_missing_at_the_deadline(create):
    federation = await create(rule="median")
    await federation.enroll(5)
    await federation.open(deadline=0.6)
    before = await federation.model()
    for index in (4, 1, 3):
        await federation.submit(index, ones(federation.size, index * 1e-3))
    entry = await federation.closed(1)
    assert entry.close_reason == pb.CLOSE_REASON_DEADLINE
    assert (entry.updates, entry.rejected) == (3, 0)
    np.testing.assert_allclose(
        await federation.model(), before + ones(federation.size, 3e-3), rtol=1e-5
    )
    await federation.open(2)


async def test_a_round_without_updates_keeps_the_model(federation, create):
    silent = await create(rule="krum:f=1")
    await silent.enroll(5)
    await silent.open(deadline=0.2)
    before = await silent.model()
    entry = await silent.closed(1)
    assert entry.updates == 0
    assert "kept" in entry.problem
    np.testing.assert_array_equal(await silent.model(), before)


async def test_too_few_updates_for_the_rule_keep_the_model(create):
    federation = await create(rule="krum:f=1")
    await federation.enroll(5)
    await federation.open(deadline=0.4)
    before = await federation.model()
    for index in range(3):
        await federation.submit(index, ones(federation.size))
    entry = await federation.closed(1)
    assert entry.updates == 3
    assert "krum" in entry.problem
    np.testing.assert_array_equal(await federation.model(), before)
    request = pb.ListParticipantsRequest(federation_id=federation.id, round=1)
    people = (await federation.stub.ListParticipants(request)).participants
    came, missing = [pb.OUTCOME_NOT_AGGREGATED] * 3, [pb.OUTCOME_MISSING] * 2
    assert [one.outcome for one in people] == came + missing, "the rule has excluded nobody"


async def cut_off(call, reason: str) -> None:
    """Both the receipt of the update and the status of the call have the reason."""
    answers = aiter(call)
    assert [one.reason for one in (await anext(answers)).receipts] == [reason]
    assert (await refusal(anext(answers))).reason == reason


async def test_a_sender_that_pauses_within_an_update_is_refused(federation, monkeypatch):
    monkeypatch.setattr(ingest, "MESSAGE_TIMEOUT", 0.2)
    never = asyncio.Event()

    async def silence():
        yield pb.SubmitUpdatesRequest(pieces=federation.pieces(0, ones(federation.size)))
        await never.wait()

    await cut_off(federation.stub.SubmitUpdates(silence(), timeout=10), "STREAM_IDLE")
    await federation.submit(0, ones(federation.size))


async def test_an_update_below_the_least_rate_is_refused(create, monkeypatch):
    monkeypatch.setattr(ingest, "MESSAGE_TIMEOUT", 0.5)
    monkeypatch.setattr(ingest, "MIN_RATE", 1e9)
    federation = await create(model="cnn")
    await federation.enroll(1)
    await federation.open()
    data = ones(federation.size).tobytes()

    async def trickle():
        for start in range(0, len(data), 65_536):
            piece = chunk(start, data[start : start + 65_536])
            if start == 0:
                piece.header.CopyFrom(federation.pieces(0, ones(federation.size))[0].header)
            yield pb.SubmitUpdatesRequest(pieces=[piece])
            await asyncio.sleep(0.2)

    await cut_off(federation.stub.SubmitUpdates(trickle(), timeout=10), "STREAM_SLOW")
    await federation.submit(0, ones(federation.size))


async def test_chunks_that_are_too_small_are_refused(create):
    federation = await create(model="cnn")
    await federation.enroll(1)
    await federation.open()
    messages = federation.pieces(0, ones(federation.size))
    messages[0].chunk.data = messages[0].chunk.data[:4]
    refusal = await federation.refusal(messages)
    assert refusal.reason == "MALFORMED_STREAM"
    assert CHUNK_BYTES > 65_536


async def test_refusals_of_all_updates_close_the_round(federation):
    before = await federation.model()
    for index in range(5):
        bad = ones(federation.size)
        bad[index] = np.nan
        await federation.refusal(federation.pieces(index, bad))
    entry = await federation.closed(1)
    assert entry.close_reason == pb.CLOSE_REASON_EVERYONE_HEARD
    assert (entry.updates, entry.rejected) == (0, 5)
    np.testing.assert_array_equal(await federation.model(), before)
