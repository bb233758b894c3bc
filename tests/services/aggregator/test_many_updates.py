"""Tests of SubmitUpdates with many updates in one stream, each checked on its own."""

import asyncio
from collections.abc import Sequence

import grpc
import numpy as np
import pytest

from fedsiege.services.aggregator import ingest
from fedsiege.services.errors import Refusal
from fedsiege.services.worker.submitting import Sender, Update
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import tensors_pb2
from tests.services.aggregator.playing import ones
from tests.services.conftest import credential, receipts_of


def pieces_of(federation, index: int, update: np.ndarray) -> list[pb.UpdatePiece]:
    return federation.pieces(index, update)


def together(*updates: Sequence[pb.UpdatePiece]) -> list[pb.SubmitUpdatesRequest]:
    return [pb.SubmitUpdatesRequest(pieces=[piece for pieces in updates for piece in pieces])]


async def send(federation, messages) -> list[pb.UpdateReceipt]:
    return await receipts_of(federation.stub.SubmitUpdates(iter(messages), timeout=15))


async def test_an_invalid_update_affects_no_other_update(federation):
    before = await federation.model()
    spoilt = ones(federation)
    spoilt[3] = np.nan
    hole = pieces_of(federation, 2, ones(federation))
    hole[0].chunk.offset = 8
    receipts = await send(
        federation,
        together(
            pieces_of(federation, 0, ones(federation)),
            pieces_of(federation, 1, spoilt),
            hole,
            pieces_of(federation, 3, ones(federation)),
            pieces_of(federation, 3, ones(federation, 9.0)),
            pieces_of(federation, 4, ones(federation)),
        ),
    )
    assert [(one.participant_index, one.reason) for one in receipts] == [
        (0, ""),
        (1, "NOT_FINITE"),
        (2, "MALFORMED_STREAM"),
        (3, ""),
        (3, "DUPLICATE_UPDATE"),
        (4, ""),
    ]
    assert receipts[1].code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "position 3" in receipts[1].message
    entry = await federation.closed(1)
    assert (entry.updates, entry.rejected) == (3, 2)
    np.testing.assert_allclose(await federation.model(), before + ones(federation), rtol=1e-6)


async def test_further_pieces_of_a_refused_update_are_ignored(create):
    federation = await create(model="cnn")
    await federation.enroll(2)
    await federation.open()
    update = ones(federation)
    data = update.tobytes()
    liar = pieces_of(federation, 0, update)[0]
    liar.header.shape[:] = [1]
    liar.chunk.data = data[:100_000]
    rest = [
        pb.UpdatePiece(
            chunk=tensors_pb2.TensorChunk(offset=start, data=data[start : start + 100_000])
        )
        for start in range(100_000, len(data), 100_000)
    ]
    receipts = await send(federation, together([liar, *rest], pieces_of(federation, 1, update)))
    assert [one.reason for one in receipts] == ["WRONG_SHAPE", ""]


async def test_updates_split_across_messages_arrive_complete(create):
    federation = await create(model="cnn", rule="median")
    await federation.enroll(3)
    await federation.open()
    before = await federation.model()
    sender = Sender(federation.data_plane, federation.id, {i: credential(i) for i in range(3)})
    updates = [Update(i, ones(federation, i * 1e-3), 4, 2) for i in range(3)]
    assert await sender.submit(1, updates, asyncio.get_running_loop().time() + 1e6) == []
    await federation.closed(1)
    np.testing.assert_allclose(await federation.model(), before + ones(federation), rtol=1e-6)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([pb.SubmitUpdatesRequest(pieces=[pb.UpdatePiece()])], "MALFORMED_STREAM"),
        (
            [
                pb.SubmitUpdatesRequest(
                    pieces=[pb.UpdatePiece(header=pb.UpdateHeader(federation_id="nowhere"))]
                )
            ],
            "UNKNOWN_FEDERATION",
        ),
    ],
)
async def test_an_invalid_sequence_of_messages_ends_the_call(federation, messages, reason):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(federation, messages)
    assert Refusal.of(caught.value).reason == reason


async def test_an_empty_stream_has_no_receipts(federation):
    assert await send(federation, []) == []
    assert await send(federation, [pb.SubmitUpdatesRequest(answer=True)] * 3) == []


async def test_one_call_serves_several_rounds_with_receipts_for_each(federation):
    before = await federation.model()
    call = federation.stub.SubmitUpdates()
    for number in (1, 2):
        for indices in ([0, 1], [2], [3, 4]):
            pieces = [
                piece
                for index in indices
                for piece in federation.pieces(index, ones(federation), number)
            ]
            await call.write(pb.SubmitUpdatesRequest(pieces=pieces, answer=True))
            receipts = (await call.read()).receipts
            assert [(one.round, one.participant_index, one.code) for one in receipts] == [
                (number, index, 0) for index in indices
            ]
        assert (await federation.closed(number)).updates == 5
        if number == 1:
            await federation.open(2)
    call.cancel()
    np.testing.assert_allclose(await federation.model(), before + 2 * ones(federation), rtol=1e-5)


async def test_asking_for_receipts_within_an_update_truncates_it(federation):
    first, *_ = federation.pieces(0, ones(federation))
    first.ClearField("chunk")
    call = federation.stub.SubmitUpdates()
    await call.write(pb.SubmitUpdatesRequest(pieces=[first], answer=True))
    (receipt,) = (await call.read()).receipts
    assert receipt.reason == "TRUNCATED"
    whole = federation.pieces(0, ones(federation))
    await call.write(pb.SubmitUpdatesRequest(pieces=whole, answer=True))
    (receipt,) = (await call.read()).receipts
    assert receipt.code == 0, "it may try again over the same call"
    call.cancel()


async def test_too_many_updates_in_one_stream_are_refused(federation, monkeypatch):
    monkeypatch.setattr(ingest, "UPDATES_AT_ONCE", 2)
    flood = together(*[pieces_of(federation, i, ones(federation)) for i in range(3)])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(federation, flood)
    assert Refusal.of(caught.value).reason == "TOO_MANY_UPDATES"
    assert (await federation.refusal(federation.pieces(0, ones(federation)))).reason == (
        "DUPLICATE_UPDATE"
    ), "what was taken in before the stream went wrong stays taken in"


async def test_empty_messages_do_not_keep_a_stream_alive(federation):
    flood = [*together(pieces_of(federation, 0, ones(federation))), pb.SubmitUpdatesRequest()]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(federation, flood)
    assert Refusal.of(caught.value).reason == "MALFORMED_STREAM"
    await federation.submit(0, ones(federation))
