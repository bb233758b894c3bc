"""Tests of ListParticipants: outcomes by round, pages, limits."""

import numpy as np
import pytest

from fedsiege.services.aggregator import federation as federation_module
from fedsiege.v1 import aggregator_pb2 as pb
from tests.services.aggregator.playing import Code, listing, ones, play, small
from tests.services.conftest import refusal


async def test_five_thousand_participants_are_listed_in_pages(create):
    federation = await create(capacity=5_000)
    await federation.enroll(5_000)
    request, pages = listing(federation), []
    while not pages or request.page_token:
        response = await federation.stub.ListParticipants(request)
        pages.append([one.participant_index for one in response.participants])
        request.page_token = response.next_page_token
    assert [len(page) for page in pages] == [1_000] * 5, "the last page says that it is the last"
    assert [index for page in pages for index in page] == list(range(5_000))


@pytest.mark.parametrize(("size", "pages"), [(2, 3), (5, 1), (4, 2), (4_000, 1)])
async def test_pages_of_any_size_list_every_participant_once(federation, size, pages):
    request, seen, count = listing(federation, page_size=size), [], 0
    while count == 0 or request.page_token:
        response = await federation.stub.ListParticipants(request)
        seen += [one.identity for one in response.participants]
        request.page_token = response.next_page_token
        count += 1
    assert seen == [f"p{i}" for i in range(5)]
    assert count == pages


async def test_a_page_beyond_the_end_is_empty(federation):
    for token in ("4", "99"):
        response = await federation.stub.ListParticipants(listing(federation, page_token=token))
        assert (len(response.participants), response.next_page_token) == (0, "")


@pytest.mark.parametrize("token", ["x", "-1", "1.5", "9" * 12, "٣", " 1", "1" * 100_000])
async def test_a_foreign_page_token_is_refused(federation, token):
    found = await refusal(federation.stub.ListParticipants(listing(federation, page_token=token)))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    assert "page_token" in found.message


async def test_a_page_too_large_and_an_unknown_round_are_refused(federation):
    found = await refusal(federation.stub.ListParticipants(listing(federation, page_size=10_001)))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    found = await refusal(federation.stub.ListParticipants(listing(federation, round=1)))
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_ROUND")


async def test_outcomes_are_kept_for_each_round(create, monkeypatch):
    federation = await create(rule="krum:f=0")
    await federation.enroll(6)
    await federation.open(1, indices=[0, 1, 2, 3, 4], deadline=20, threshold=4)
    bad = ones(federation)
    bad[3] = np.inf
    await federation.refusal(federation.pieces(1, bad))
    for index, value in ((2, 1e-3), (3, 2e-3), (0, 9e-3), (4, 2e-3)):
        await federation.submit(index, ones(federation, value))
    await federation.closed(1)
    await federation.open(2, indices=[5, 0, 2], deadline=0.1)
    await federation.closed(2)

    async def seen(round_number: int) -> dict[int, pb.Participant]:
        response = await federation.stub.ListParticipants(listing(federation, round=round_number))
        assert response.round == (round_number or 2)
        return {one.participant_index: one for one in response.participants}

    first = await seen(1)
    outcomes = [first[index].outcome for index in range(6)]
    assert outcomes[1] == pb.OUTCOME_REJECTED
    assert outcomes[5] == pb.OUTCOME_NOT_SCHEDULED
    assert sorted(outcomes[index] for index in (0, 2, 3, 4)) == [
        pb.OUTCOME_EXCLUDED,
        pb.OUTCOME_EXCLUDED,
        pb.OUTCOME_EXCLUDED,
        pb.OUTCOME_ACCEPTED,
    ]
    assert "inf at position 3" in first[1].problem
    assert not first[1].HasField("norm")
    assert first[0].norm == pytest.approx(9e-3 * federation.size**0.5, rel=1e-6)
    assert first[0].score > first[3].score, "krum gives each a score"
    assert [first[index].HasField("score") for index in range(6)] == [
        index in (0, 2, 3, 4) for index in range(6)
    ]
    for last in (await seen(2), await seen(0)):
        assert [last[index].outcome for index in (0, 2, 5)] == [pb.OUTCOME_MISSING] * 3
        assert last[1].outcome == pb.OUTCOME_NOT_SCHEDULED
        assert [last[index].rejected_total for index in range(6)] == [0, 1, 0, 0, 0, 0]
        assert sum(one.accepted_total for one in last.values()) == 1


async def test_details_are_kept_for_the_last_rounds_only(create, monkeypatch):
    monkeypatch.setattr(federation_module, "ROUNDS_IN_DETAIL", 2)
    federation = await small(await create(), 1)
    for number in (1, 2, 3):
        await play(federation, number, 1)
    found = await refusal(federation.stub.ListParticipants(listing(federation, round=1)))
    assert found.reason == "UNKNOWN_ROUND"
    assert "the newest is 3" in found.message
    for number in (2, 3, 0):
        response = await federation.stub.ListParticipants(listing(federation, round=number))
        assert response.round == (number or 3)
