"""Tests of WatchRounds over gRPC."""

import asyncio

from fedsiege.services.aggregator import federation as federation_module
from fedsiege.services.aggregator import watching
from fedsiege.v1 import aggregator_pb2 as pb
from tests.services.aggregator.playing import PATIENCE, Code, listing, ones, play, small
from tests.services.conftest import refusal


async def test_watchers_get_the_history_and_then_new_events(create):
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


async def test_watchers_get_an_opening_at_once(create):
    federation = await small(await create())
    request = pb.WatchRoundsRequest(federation_id=federation.id)
    events = aiter(federation.stub.WatchRounds(request, timeout=PATIENCE))
    assert (await anext(events)).closed.entry.round == 0
    await federation.open()
    assert (await anext(events)).opened.round == 1


async def test_a_late_watcher_gets_the_open_round(federation):
    request = pb.WatchRoundsRequest(federation_id=federation.id)
    events = aiter(federation.stub.WatchRounds(request, timeout=PATIENCE))
    assert (await anext(events)).closed.entry.round == 0
    opened = (await anext(events)).opened
    assert (opened.round, opened.participants, opened.threshold) == (1, 5, 5)
    assert opened.deadline.ToSeconds() == 20


async def test_the_history_equals_the_watched_entries(federation):
    for index in range(5):
        await federation.submit(index, ones(federation))
    entry = await federation.closed(1)
    response = await federation.stub.GetAccuracyHistory(
        pb.GetAccuracyHistoryRequest(federation_id=federation.id)
    )
    assert [one.round for one in response.historical_accuracy] == [0, 1]
    assert response.historical_accuracy[1] == entry
    assert entry.seconds > 0


async def test_watchers_may_ask_for_the_participants_of_each_round(create, monkeypatch):
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


async def test_watching_participants_of_a_dropped_round_is_refused(create, monkeypatch):
    monkeypatch.setattr(federation_module, "ROUNDS_IN_DETAIL", 1)
    federation = await small(await create(), 1)
    for number in range(1, 4):
        await play(federation, number, 1)
    request = pb.WatchRoundsRequest(federation_id=federation.id, from_round=1, participants=True)
    found = await refusal(anext(aiter(federation.stub.WatchRounds(request, timeout=PATIENCE))))
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_ROUND")
