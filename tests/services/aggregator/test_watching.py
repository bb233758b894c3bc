"""Watchers of a federation, over a real wire."""

import asyncio

from fedsiege.v1 import aggregator_pb2 as pb
from services.aggregator import federation as federation_module
from services.aggregator import watching
from tests.services.aggregator.playing import PATIENCE, Code, listing, ones, play, small
from tests.services.conftest import refusal


async def test_watchers_see_the_past_from_an_entry_on_and_then_what_happens(create):
    federation = await small(await create(), 1)
    for number in (1, 2):
        await play(federation, number, 1)

    async def watched(from_round: int, until: int) -> list[tuple[str, int]]:
        request = pb.WatchRoundsRequest(federation_id=federation.id, from_round=from_round)
        seen = []
        async for event in federation.stub.WatchRounds(request, timeout=PATIENCE):
            kind = event.WhichOneof("event")
            number = event.closed.entry.round if kind == "closed" else event.opened.round
            seen.append((kind, number))
            ready.release()
            if (kind, number) == ("closed", until):
                break
        return seen

    ready = asyncio.Semaphore(0)
    assert await watched(1, 2) == [("closed", 1), ("closed", 2)], "a line opened again"
    live = [asyncio.create_task(watched(2, 4)), asyncio.create_task(watched(4, 4))]
    await ready.acquire()
    for number in (3, 4):
        await play(federation, number, 1)
    from_two, from_four = await asyncio.gather(*live)
    kept = [event for event in from_two if event[0] == "closed"]
    assert kept == [("closed", 2), ("closed", 3), ("closed", 4)], "each once, in order"
    assert [event for event in from_four if event[0] == "closed"] == [("closed", 4)]
    for number in (3, 4):
        if ("opened", number) in from_two:
            at = from_two.index(("opened", number))
            assert at < from_two.index(("closed", number))


async def test_an_opening_is_told_at_once(create):
    federation = await small(await create())
    request = pb.WatchRoundsRequest(federation_id=federation.id)
    events = aiter(federation.stub.WatchRounds(request, timeout=PATIENCE))
    assert (await anext(events)).closed.entry.round == 0
    await federation.open()
    assert (await anext(events)).opened.round == 1


async def test_an_open_round_is_told_to_who_comes_late(federation):
    request = pb.WatchRoundsRequest(federation_id=federation.id)
    events = aiter(federation.stub.WatchRounds(request, timeout=PATIENCE))
    assert (await anext(events)).closed.entry.round == 0
    opened = (await anext(events)).opened
    assert (opened.round, opened.participants, opened.threshold) == (1, 5, 5)
    assert opened.deadline.ToSeconds() == 20


async def test_the_history_is_that_of_the_watchers(federation):
    for index in range(5):
        await federation.submit(index, ones(federation))
    entry = await federation.closed(1)
    response = await federation.stub.GetAccuracyHistory(
        pb.GetAccuracyHistoryRequest(federation_id=federation.id)
    )
    assert [one.round for one in response.historical_accuracy] == [0, 1]
    assert response.historical_accuracy[1] == entry
    assert entry.seconds > 0


async def test_who_asks_is_told_what_became_of_each_participant(create, monkeypatch):
    monkeypatch.setattr(watching, "LARGEST_PAGE", 2)
    federation = await small(await create(), 5)
    for number in (1, 2):
        await play(federation, number, 5)
    request = pb.WatchRoundsRequest(federation_id=federation.id, participants=True)
    seen: dict[int, list[pb.Participant]] = {}
    async for event in federation.stub.WatchRounds(request, timeout=PATIENCE):
        if event.HasField("participants"):
            seen.setdefault(event.participants.round, []).extend(event.participants.participants)
            assert len(event.participants.participants) <= 2
        elif event.HasField("closed"):
            number = event.closed.entry.round
            if number:
                listed = await federation.stub.ListParticipants(listing(federation, round=number))
                assert seen[number] == list(listed.participants), "before the round is closed"
            if number == 2:
                break
    assert sorted(seen) == [1, 2]


async def test_who_asks_for_a_round_that_is_too_long_ago_is_told_so(create, monkeypatch):
    monkeypatch.setattr(federation_module, "ROUNDS_IN_DETAIL", 1)
    federation = await small(await create(), 1)
    for number in range(1, 4):
        await play(federation, number, 1)
    request = pb.WatchRoundsRequest(federation_id=federation.id, from_round=1, participants=True)
    found = await refusal(anext(aiter(federation.stub.WatchRounds(request, timeout=PATIENCE))))
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_ROUND")
