"""What an attacker would try, tried on a real aggregator with open enrolment."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import AsyncMock, Mock

import grpc
import numpy as np
import pytest

from fedsiege.v1 import aggregator_pb2 as pb
from services.attacker.intrusions import WAYS, Attempts, Foothold, Intrusion, silent_streams
from services.rpc import calls
from tests.services.conftest import Federation, credential


def taken_in(*indices: int) -> asyncio.Future[list[int]]:
    """Say whose updates are in."""
    said = asyncio.get_running_loop().create_future()
    said.set_result(list(indices))
    return said


@pytest.fixture
async def foothold(federation: Federation) -> Foothold:
    """Participant 4 of five is the attacker's."""
    return Foothold(
        aggregator=federation.data_plane,
        address="",
        name="attacker",
        federation_id=federation.id,
        round=1,
        size=federation.size,
        credentials={4: credential(4)},
        others=range(4),
        tokens=[],
        patience=10.0,
        taken_in=taken_in(4),
    )


async def test_with_open_enrolment_sybils_get_in_as_many_as_they_like(
    federation: Federation, foothold: Foothold
) -> None:
    attempts = await WAYS["sybils"].attempt(foothold, 1000)
    assert (attempts.tried, attempts.succeeded) == (1000, 1000)
    described = await federation.stub.GetFederation(
        pb.GetFederationRequest(federation_id=federation.id)
    )
    assert described.federation.participants == 1005


async def test_where_there_is_no_room_sybils_are_refused_one_by_one(create: Callable) -> None:
    federation = await create(capacity=7)
    await federation.enroll(5)
    foothold = Foothold(federation.stub, "", "a", federation.id, 1, 1, {}, [], [], 1.0, taken_in())
    attempts = await WAYS["sybils"].attempt(foothold, 12)
    assert (attempts.tried, attempts.succeeded) == (12, 2)
    assert attempts.refusals == {"FEDERATION_FULL": 10}


async def test_nobody_can_send_in_anothers_name(federation: Federation, foothold: Foothold) -> None:
    attempts = await WAYS["replay"].attempt(foothold, 4)
    assert (attempts.tried, attempts.succeeded) == (4, 0)
    assert attempts.refusals == {"WRONG_CREDENTIAL": 4}
    for index in range(4):  # and those whose names were used are none the worse
        await federation.submit(index, np.zeros(federation.size, np.float32))


async def test_an_update_counts_once_and_zeros_never_come_first(
    federation: Federation, foothold: Foothold
) -> None:
    genuine: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    foothold = replace(foothold, taken_in=genuine)
    trying = asyncio.create_task(WAYS["double"].attempt(foothold, 1))
    await asyncio.sleep(0.1)
    await federation.submit(4, np.ones(federation.size, np.float32))  # it was not overtaken
    genuine.set_result([4])
    assert (await trying).refusals == {"DUPLICATE_UPDATE": 1}


async def test_whose_update_was_not_taken_in_sends_nothing_twice(foothold: Foothold) -> None:
    foothold = replace(foothold, taken_in=taken_in())
    assert (await WAYS["double"].attempt(foothold, 1)).tried == 0


async def test_silent_streams_are_cut_off(
    federation: Federation, foothold: Foothold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 0.3)
    monkeypatch.setattr(silent_streams, "LONG", 8.0)
    attempts = await WAYS["silent-streams"].attempt(foothold, 30)
    assert (attempts.tried, attempts.succeeded) == (30, 0)
    assert attempts.refusals == {"STREAM_IDLE": 30}


async def test_with_open_enrolment_anyone_is_taken_for_the_operator(
    federation: Federation, foothold: Foothold
) -> None:
    attempts = await WAYS["control"].attempt(foothold, 1)
    assert (attempts.tried, attempts.succeeded) == (2, 2), "a bad moment is no refusal"
    assert not attempts.refusals
    for index in range(5):  # the round that is open is none the worse
        await federation.submit(index, np.zeros(federation.size, np.float32))
    assert (await federation.closed(1)).updates == 5
    attempts = await WAYS["control"].attempt(foothold, 1)  # nor is the one to come opened
    assert (attempts.tried, attempts.succeeded) == (2, 2)
    await federation.open(2)


async def test_who_is_not_the_operator_is_refused_for_that(foothold: Foothold) -> None:
    metadata = grpc.aio.Metadata()
    forbidden = grpc.aio.AioRpcError(grpc.StatusCode.PERMISSION_DENIED, metadata, metadata)
    aggregator = Mock(CreateFederation=AsyncMock(side_effect=forbidden))
    aggregator.OpenRound = AsyncMock(side_effect=forbidden)
    attempts = await WAYS["control"].attempt(replace(foothold, aggregator=aggregator), 1)
    assert (attempts.tried, attempts.succeeded) == (2, 0)
    assert attempts.refusals == {"PERMISSION_DENIED": 2}


async def test_an_error_in_the_middle_leaves_what_was_counted(foothold: Foothold) -> None:
    class Unlucky(Intrusion):
        async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
            attempts.passed(3)
            await foothold.aggregator.GetFederation(pb.GetFederationRequest(federation_id="none"))

    attempts = await Unlucky().attempt(foothold, 9)
    assert (attempts.tried, attempts.succeeded) == (4, 3)
    assert attempts.refusals == {"UNKNOWN_FEDERATION": 1}


async def test_without_tls_there_is_no_certificate_to_forge(foothold: Foothold) -> None:
    attempts = await WAYS["foreign-certificate"].attempt(foothold, 1)
    assert attempts.tried == 0
