"""Intrusions, tried on a real aggregator with open enrolment."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import AsyncMock, Mock

import grpc
import numpy as np
import pytest

from fedsiege.services.attacker.intrusions import (
    IMPLEMENTATIONS,
    Attempts,
    Intrusion,
    IntrusionContext,
    silent_streams,
)
from fedsiege.services.rpc import calls
from fedsiege.v1 import aggregator_pb2 as pb
from tests.services.conftest import Federation, credential


def accepted(*indices: int) -> asyncio.Future[list[int]]:
    """Return the participants whose updates were accepted, as a future."""
    found = asyncio.get_running_loop().create_future()
    found.set_result(list(indices))
    return found


@pytest.fixture
async def context(federation: Federation) -> IntrusionContext:
    """The context of an attacker that has participant 4 of five."""
    return IntrusionContext(
        aggregator=federation.data_plane,
        address="",
        name="attacker",
        federation_id=federation.id,
        round=1,
        size=federation.size,
        credentials={4: credential(4)},
        others=range(4),
        tokens=[],
        time_limit=10.0,
        accepted=accepted(4),
    )


async def test_with_open_enrolment_any_number_of_sybils_enrol(
    federation: Federation, context: IntrusionContext
) -> None:
    attempts = await IMPLEMENTATIONS["sybils"].attempt(context, 1000)
    assert (attempts.tried, attempts.succeeded) == (1000, 1000)
    described = await federation.stub.GetFederation(
        pb.GetFederationRequest(federation_id=federation.id)
    )
    assert described.federation.participants == 1005


async def test_in_a_full_federation_sybils_are_refused_one_by_one(create: Callable) -> None:
    federation = await create(capacity=7)
    await federation.enroll(5)
    context = IntrusionContext(
        federation.stub, "", "a", federation.id, 1, 1, {}, [], [], 1.0, accepted()
    )
    attempts = await IMPLEMENTATIONS["sybils"].attempt(context, 12)
    assert (attempts.tried, attempts.succeeded) == (12, 2)
    assert attempts.refusals == {"FEDERATION_FULL": 10}


async def test_an_update_in_the_name_of_another_participant_is_refused(
    federation: Federation, context: IntrusionContext
) -> None:
    attempts = await IMPLEMENTATIONS["replay"].attempt(context, 4)
    assert (attempts.tried, attempts.succeeded) == (4, 0)
    assert attempts.refusals == {"WRONG_CREDENTIAL": 4}
    for index in range(4):  # the participants themselves can still submit
        await federation.submit(index, np.zeros(federation.size, np.float32))


async def test_a_second_update_is_refused_and_never_sent_first(
    federation: Federation, context: IntrusionContext
) -> None:
    genuine: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    context = replace(context, accepted=genuine)
    trying = asyncio.create_task(IMPLEMENTATIONS["double"].attempt(context, 1))
    await asyncio.sleep(0.1)
    await federation.submit(4, np.ones(federation.size, np.float32))  # nothing was sent before it
    genuine.set_result([4])
    assert (await trying).refusals == {"DUPLICATE_UPDATE": 1}


async def test_no_second_update_is_sent_without_an_accepted_one(context: IntrusionContext) -> None:
    context = replace(context, accepted=accepted())
    assert (await IMPLEMENTATIONS["double"].attempt(context, 1)).tried == 0


async def test_silent_streams_are_ended(
    federation: Federation, context: IntrusionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "FIRST_MESSAGE_TIMEOUT", 0.3)
    monkeypatch.setattr(silent_streams, "OPEN_LIMIT", 8.0)
    attempts = await IMPLEMENTATIONS["silent-streams"].attempt(context, 30)
    assert (attempts.tried, attempts.succeeded) == (30, 0)
    assert attempts.refusals == {"STREAM_IDLE": 30}


async def test_with_open_enrolment_calls_of_the_control_plane_succeed(
    federation: Federation, context: IntrusionContext
) -> None:
    attempts = await IMPLEMENTATIONS["control"].attempt(context, 1)
    assert (attempts.tried, attempts.succeeded) == (2, 2), (
        "a round that is already open is no refusal"
    )
    assert not attempts.refusals
    for index in range(5):  # the open round goes on
        await federation.submit(index, np.zeros(federation.size, np.float32))
    assert (await federation.closed(1)).updates == 5
    attempts = await IMPLEMENTATIONS["control"].attempt(context, 1)  # the next round stays unopened
    assert (attempts.tried, attempts.succeeded) == (2, 2)
    await federation.open(2)


async def test_calls_of_the_control_plane_can_be_refused(context: IntrusionContext) -> None:
    metadata = grpc.aio.Metadata()
    forbidden = grpc.aio.AioRpcError(grpc.StatusCode.PERMISSION_DENIED, metadata, metadata)
    aggregator = Mock(CreateFederation=AsyncMock(side_effect=forbidden))
    aggregator.OpenRound = AsyncMock(side_effect=forbidden)
    attempts = await IMPLEMENTATIONS["control"].attempt(replace(context, aggregator=aggregator), 1)
    assert (attempts.tried, attempts.succeeded) == (2, 0)
    assert attempts.refusals == {"PERMISSION_DENIED": 2}


async def test_an_error_ends_the_attempts_and_keeps_the_counts(context: IntrusionContext) -> None:
    class Failing(Intrusion):
        async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
            attempts.passed(3)
            await context.aggregator.GetFederation(pb.GetFederationRequest(federation_id="none"))

    attempts = await Failing().attempt(context, 9)
    assert (attempts.tried, attempts.succeeded) == (4, 3)
    assert attempts.refusals == {"UNKNOWN_FEDERATION": 1}


async def test_without_tls_no_certificate_is_forged(context: IntrusionContext) -> None:
    attempts = await IMPLEMENTATIONS["foreign-certificate"].attempt(context, 1)
    assert attempts.tried == 0
