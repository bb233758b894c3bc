"""Tests of OpenRound and of what closes a round, over gRPC."""

import numpy as np
import pytest
from google.protobuf import duration_pb2

from fedsiege import rules
from fedsiege.v1 import aggregator_pb2 as pb
from tests.services.aggregator.playing import Code, ones, play, small
from tests.services.conftest import receipts_of, refusal


def seconds(value: int, nanos: int = 0) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=value, nanos=nanos)


WRONG_ROUNDS = {
    "too high a number": ({"round": 2}, Code.FAILED_PRECONDITION, "WRONG_ROUND", "next round is 1"),
    "number 0": ({"round": 0}, Code.FAILED_PRECONDITION, "WRONG_ROUND", "next round is 1"),
    "a stranger": (
        {"participant_indices": [0, 7]},
        Code.NOT_FOUND,
        "UNKNOWN_PARTICIPANT",
        "index 7",
    ),
    "twice the same": (
        {"participant_indices": [1, 0, 1]},
        Code.ALREADY_EXISTS,
        "DUPLICATE_INDEX",
        "participant 1",
    ),
    "a threshold out of reach": (
        {"threshold": 6},
        Code.INVALID_ARGUMENT,
        "INVALID_VALUE",
        "threshold of 6",
    ),
    "a threshold out of reach of some": (
        {"threshold": 3, "participant_indices": [0, 1]},
        Code.INVALID_ARGUMENT,
        "INVALID_VALUE",
        "2 participants",
    ),
    "no deadline": ({"deadline": None}, Code.INVALID_ARGUMENT, "INVALID_VALUE", "deadline of 0"),
    "a deadline in the past": (
        {"deadline": seconds(-1)},
        Code.INVALID_ARGUMENT,
        "INVALID_VALUE",
        "more than 0",
    ),
    "a day and a moment": (
        {"deadline": seconds(86_400, 1_000)},
        Code.INVALID_ARGUMENT,
        "INVALID_VALUE",
        "at most 86400",
    ),
    "the end of time": (
        {"deadline": seconds(2**62)},
        Code.INVALID_ARGUMENT,
        "INVALID_VALUE",
        "at most 86400",
    ),
    "a rule that cannot work": (
        {"participant_indices": [0, 1, 2]},
        Code.INVALID_ARGUMENT,
        "INVALID_VALUE",
        "krum",
    ),
    "a rule that cannot work with so few": (
        {"threshold": 3},
        Code.INVALID_ARGUMENT,
        "INVALID_VALUE",
        "krum",
    ),
}


@pytest.mark.parametrize("case", WRONG_ROUNDS)
async def test_an_invalid_round_is_refused_and_a_valid_one_opens(create, case):
    fields, code, reason, words = WRONG_ROUNDS[case]
    federation = await small(await create(rule="krum:f=1"), 5)
    request = pb.OpenRoundRequest(federation_id=federation.id, round=1, deadline=seconds(20))
    for name, value in fields.items():
        if value is None:
            request.ClearField(name)
        elif isinstance(value, list):
            request.participant_indices[:] = value
        elif isinstance(value, int):
            setattr(request, name, value)
        else:
            getattr(request, name).CopyFrom(value)
    found = await refusal(federation.stub.OpenRound(request))
    assert (found.code, found.reason) == (code, reason), found
    assert words in found.message
    opened = await federation.open(1, threshold=5)
    assert (opened.round, opened.participants, opened.threshold) == (1, 5, 5)


async def test_a_round_without_participants_is_refused(create):
    federation = await create()
    found = await refusal(federation.open())
    assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "NO_PARTICIPANTS")


async def test_a_round_cannot_be_opened_twice(federation):
    for number in (1, 2):
        found = await refusal(federation.open(number))
        assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "ROUND_OPEN")
        assert "round 1 is still open" in found.message


async def test_a_round_that_stops_waiting_closes_with_the_updates_it_has(federation):
    await federation.submit(0, ones(federation))
    stop = pb.StopWaitingRequest(
        federation_id=federation.id, round=1, participant_indices=[1, 2, 9]
    )
    assert (await federation.stub.StopWaiting(stop)).open, "3 and 4 are still waited for"
    await federation.submit(2, ones(federation))  # it came all the same, and counts
    other = pb.StopWaitingRequest(federation_id=federation.id, round=2, participant_indices=[3, 4])
    assert not (await federation.stub.StopWaiting(other)).open, "round 2 is not open"
    stop.participant_indices[:] = [3, 4]
    assert not (await federation.stub.StopWaiting(stop)).open
    entry = await federation.closed(1)
    assert (entry.updates, entry.close_reason) == (2, pb.CLOSE_REASON_EVERYONE_HEARD)


async def test_a_round_too_large_for_the_machine_is_refused(create, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 100)  # pages, and bytes of each
    federation = await small(await create(rule="median"))
    found = await refusal(federation.open())
    assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, "ROUND_TOO_LARGE")


async def test_enrolment_during_a_round_counts_from_the_next(federation):
    await federation.enroll(6)
    found = await federation.refusal(federation.pieces(5, ones(federation)))
    assert found.reason == "NOT_SCHEDULED"
    for index in range(5):
        await federation.submit(index, ones(federation))
    await federation.closed(1)
    assert (await federation.open(2)).participants == 6


async def test_a_failing_rule_ends_the_round_and_keeps_the_model(create, monkeypatch):
    federation = await small(await create(rule="median"))
    before = await federation.model()

    def broken(self, updates, context):
        raise IndexError("a bug in the rule")

    with monkeypatch.context() as patched:
        patched.setattr(rules.Median, "combine", broken)
        entry = await play(federation, 1, 2)
    assert "median" in entry.problem
    assert "a bug in the rule" in entry.problem
    np.testing.assert_array_equal(await federation.model(), before)
    assert (await play(federation, 2, 2)).problem == ""


async def test_a_model_that_is_not_finite_is_reported(create):
    federation = await small(await create(rule="fedavg"), 1)
    for number in range(1, 4):
        await federation.open(number)
        await federation.submit(0, ones(federation, 9e14 if number == 1 else 1.0), number)
        entry = await federation.closed(number)
        assert entry.updates == 1
        assert 0 <= entry.accuracy <= 1
    assert not np.isnan(entry.accuracy)


async def test_a_million_empty_pieces_do_not_block_the_server(federation):
    header = federation.header(0, credential=b"not the right one")
    pieces = [pb.UpdatePiece(header=header), *[pb.UpdatePiece()] * 20_000]
    found = await refusal(
        receipts_of(federation.stub.SubmitUpdates(iter([pb.SubmitUpdatesRequest(pieces=pieces)])))
    )
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "TOO_MANY_UPDATES")
