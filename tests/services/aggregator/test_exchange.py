"""One standing stream in place of two calls a round: the same answers, the same refusals."""

import asyncio

import grpc
import numpy as np
import pytest

from fedsiege.v1 import aggregator_pb2 as pb
from services.errors import Refusal
from services.rpc.exchange import Exchange, Refused, fits
from services.rpc.pulling import pull_model
from services.worker.submitting import Sender, Update
from tests.services.conftest import Federation, credential


def update(federation: Federation, index: int, value: float) -> Update:
    return Update(index, np.full(federation.size, value, np.float32), 1, 1)


def sender(federation: Federation, exchange: Exchange) -> Sender:
    credentials = {index: credential(index) for index in range(5)}
    return Sender(federation.stub, federation.id, credentials, exchange)


async def soon(federation: Federation, exchange: Exchange, *updates: Update, round_number: int = 1):
    deadline = asyncio.get_running_loop().time() + 10
    return await sender(federation, exchange).submit(round_number, updates, deadline)


async def test_rounds_go_over_one_stream(federation: Federation) -> None:
    exchange = Exchange(federation.stub)
    before = await federation.model()
    for number in (1, 2):
        weights, header = await pull_model(
            federation.stub, federation.id, number, federation.size, exchange=exchange
        )
        assert header.round == number
        np.testing.assert_array_equal(weights, before)
        assert weights.flags.writeable
        everyone = [update(federation, index, float(index)) for index in range(5)]
        assert await soon(federation, exchange, *everyone[:2], round_number=number) == []
        assert await soon(federation, exchange, *everyone[2:], round_number=number) == []
        assert (await federation.closed(number)).updates == 5
        before = await federation.model()
        np.testing.assert_allclose(before - weights, 2.0, atol=1e-6)
        if number == 1:
            await federation.open(2)
    exchange.close()


async def test_a_refused_model_leaves_the_stream_as_it_is(federation: Federation) -> None:
    exchange = Exchange(federation.stub)
    for federation_id, number, reason in (
        (federation.id, 7, "FUTURE_ROUND"),
        ("nowhere", 1, "UNKNOWN_FEDERATION"),
    ):
        request = pb.GetModelRequest(federation_id=federation_id, round=number)
        with pytest.raises(Refused) as caught:
            await exchange.model(request)
        assert caught.value.refusal.reason == reason
    answer = await exchange.model(pb.GetModelRequest(federation_id=federation.id, round=1))
    assert answer.header.round == 1
    exchange.close()


async def test_a_refused_update_costs_the_others_nothing(federation: Federation) -> None:
    exchange = Exchange(federation.stub)
    bad = Update(1, np.full(federation.size, np.nan, np.float32), 1, 1)
    short = Update(2, np.zeros(7, np.float32), 1, 1)
    good = [update(federation, index, 1.0) for index in (0, 3)]
    refusals = await soon(federation, exchange, good[0], bad, short, good[1])
    assert [one.reason for one in refusals] == ["NOT_FINITE", "WRONG_SHAPE"]
    assert await soon(federation, exchange, update(federation, 4, 1.0)) == []
    assert (await federation.closed(1)).updates == 3
    exchange.close()


@pytest.mark.parametrize(
    "requests",
    [
        [pb.ExchangeRequest()],
        [
            pb.ExchangeRequest(updates=pb.SubmitUpdatesRequest()),
            pb.ExchangeRequest(get_model=pb.GetModelRequest()),
        ],
        [pb.ExchangeRequest(updates=pb.SubmitUpdatesRequest(pieces=[pb.UpdatePiece()]), last=True)],
    ],
    ids=["asks for nothing", "a request among pieces", "a piece without a header"],
)
async def test_nonsense_ends_the_stream_with_a_reason(
    federation: Federation, requests: list[pb.ExchangeRequest]
) -> None:
    call = federation.stub.Exchange(iter(requests))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    assert Refusal.of(caught.value).reason == "MALFORMED_STREAM"
    await federation.submit(0, np.zeros(federation.size, np.float32))


async def test_a_broken_stream_is_opened_again(federation: Federation) -> None:
    exchange = Exchange(federation.stub)
    request = pb.GetModelRequest(federation_id=federation.id, round=1)
    await exchange.model(request)
    exchange.close()
    assert (await exchange.model(request)).header.round == 1
    asking = asyncio.create_task(exchange.model(request))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await exchange.model(request)).header.round == 1
    exchange.close()


def test_only_models_of_one_chunk_go_over_it() -> None:
    assert fits(1 << 18)
    assert not fits((1 << 18) + 1)
