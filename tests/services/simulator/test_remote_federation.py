"""Tests of the simulator's calls to the aggregator and their retries."""

import asyncio
import itertools

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from fedsiege.services.errors import WrongState, to_status, to_trailers
from fedsiege.services.simulator import remote_federation
from fedsiege.services.simulator.remote_federation import RemoteFederation
from fedsiege.v1 import aggregator_pb2 as pb

BROKEN = AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), "ping timeout")


def refusal(reason: str) -> AioRpcError:
    code, status = to_status(WrongState(reason, "no"))
    return AioRpcError(code, Metadata(), Metadata(*to_trailers(status)), "no")


class Aggregator:
    """Answers one call after the other with what it was given; errors are raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = iter(answers)
        self.calls = 0

    async def OpenRound(self, request):
        self.calls += 1
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    GetModel = OpenRound


def federation(*answers: object) -> tuple[RemoteFederation, Aggregator]:
    aggregator = Aggregator(*answers)
    return RemoteFederation(aggregator, pb.Federation(federation_id="f")), aggregator


async def test_opening_a_round_is_retried_after_a_lost_connection():
    remote, aggregator = federation(BROKEN, BROKEN, pb.OpenRoundResponse())
    await remote.open_round(1, [0, 1], 2, 30.0)
    assert aggregator.calls == 3


@pytest.mark.parametrize("reason", ["ROUND_OPEN", "WRONG_ROUND"])
async def test_a_round_opened_by_the_lost_call_counts_as_open(reason):
    """Still open, or even closed by now."""
    remote, aggregator = federation(BROKEN, refusal(reason))
    await remote.open_round(1, [0, 1], 2, 30.0)
    assert aggregator.calls == 2


@pytest.mark.parametrize(
    "answers",
    [
        [refusal("ROUND_OPEN")],  # by whom, nobody knows
        [BROKEN, refusal("NO_PARTICIPANTS")],
    ],
)
async def test_a_refusal_is_not_retried(answers):
    remote, _ = federation(*answers)
    with pytest.raises(AioRpcError, match="no"):
        await remote.open_round(1, [0, 1], 2, 30.0)


def events(*said: object):
    """A call to WatchRounds that brings events; an error ends it."""

    async def call():
        for event in said:
            if isinstance(event, Exception):
                raise event
            yield event

    return call()


def closed(number: int) -> pb.WatchRoundsResponse:
    entry = pb.AccuracyEntry(round=number)
    return pb.WatchRoundsResponse(closed=pb.RoundClosed(entry=entry))


def page(number: int, *indices: int) -> pb.WatchRoundsResponse:
    people = [pb.Participant(participant_index=index) for index in indices]
    return pb.WatchRoundsResponse(
        participants=pb.RoundParticipants(round=number, participants=people)
    )


async def test_each_entry_comes_once_with_its_participants_after_reconnecting():
    remote, aggregator = federation()
    calls = iter(
        [
            events(closed(0), page(1, 0, 1), BROKEN),
            events(page(1, 0, 1), page(1, 2), closed(1), BROKEN),
            events(page(2, 0), closed(2)),
        ]
    )
    asked = []

    def watch(request: pb.WatchRoundsRequest):
        asked.append(request.from_round)
        assert request.participants
        return next(calls)

    aggregator.WatchRounds = watch
    await remote.follow()
    assert asked == [0, 1, 2]
    found = [remote.entries.get_nowait() for _ in range(remote.entries.qsize())]
    assert [(entry.round, [one.participant_index for one in seen]) for entry, seen in found] == [
        (0, []),
        (1, [0, 1, 2]),
        (2, [0]),
    ]


async def test_a_round_with_an_entry_has_been_aggregated():
    """Or the end of the last recording would be taken for the end of the federation."""
    remote, aggregator = federation()
    aggregator.WatchRounds = lambda request: events(closed(0), page(1, 0), closed(1))
    waiting = asyncio.create_task(remote.has_aggregated(1))
    await remote.follow()
    async with asyncio.timeout(5):
        await waiting


async def test_retries_end_after_the_timeout(monkeypatch):
    monkeypatch.setattr(remote_federation, "RETRY_TIMEOUT", 0.3)
    remote, aggregator = federation(*itertools.repeat(BROKEN, 100))
    with pytest.raises(AioRpcError, match="ping timeout"):
        await remote.open_round(1, [0, 1], 2, 30.0)
    assert aggregator.calls > 1
