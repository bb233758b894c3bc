"""The aggregator over a real wire: federations, rounds, participants, watchers."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from google.protobuf import duration_pb2

from fedsiege import aggregation
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.aggregator import federation as federation_module
from services.aggregator.service import AggregatorService, Limits
from services.wire.channel import connect
from services.wire.errors import Refusal
from services.wire.server import serving

Code = grpc.StatusCode
PATIENCE = 15


def ones(federation, value: float = 1e-3) -> np.ndarray:
    return np.full(federation.size, value, np.float32)


async def refusal(call) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refusal.of(caught.value)


async def play(federation, round_number: int, count: int) -> pb.AccuracyEntry:
    """Do one round in which everyone sends the same."""
    await federation.open(round_number)
    for index in range(count):
        await federation.submit(index, ones(federation), round_number)
    return await federation.closed(round_number)


async def small(federation, count: int = 2):
    await federation.enroll(count)
    return federation


# --- federations


async def test_a_new_federation_says_what_it_settled_and_is_measured(create):
    made = await create(name="mine", seed=3, rule="krum:f=1")
    described = made.described
    assert described.parameters == 13_106
    assert described.spec.name == "mine"
    assert described.spec.rule == "krum:f=1"
    assert described.spec.device == "cpu"
    assert described.spec.capacity == 100_000
    assert described.spec.init in ("pretrained", "random")
    assert (described.closed_rounds, described.open_round, described.participants) == (0, 0, 0)
    response = await made.stub.GetAccuracyHistory(
        pb.GetAccuracyHistoryRequest(federation_id=made.id)
    )
    (entry,) = response.historical_accuracy
    assert entry.round == 0
    assert 0 <= entry.accuracy <= 1
    assert entry.model_finite
    assert entry.close_reason == pb.CLOSE_REASON_UNSPECIFIED


async def test_what_is_left_open_is_settled(create):
    assert (await create(rule="")).described.spec.rule.startswith("fedavg")
    # Feeding the settled specification back gives the same again.
    first = await create(rule="median", init="random", seed=9)
    settled = {field.name: value for field, value in first.described.spec.ListFields()}
    second = await create(**settled)
    assert second.described.spec == first.described.spec
    np.testing.assert_array_equal(await first.model(), await second.model())


WRONG_SPECS = {
    "rule": ({"rule": "kram"}, "INVALID_VALUE", ["kram", "krum"]),
    "parameter of a rule": ({"rule": "krum:g=1"}, "INVALID_VALUE", ["g", "it takes f"]),
    "value of a parameter": ({"rule": "krum:f=-1"}, "INVALID_VALUE", ["-1", "0 or more"]),
    "model": ({"model": "lenet6"}, "INVALID_VALUE", ["lenet6", "lenet5"]),
    "no model": ({"model": ""}, "INVALID_VALUE", ["There are", "net"]),
    "data set": ({"dataset": "digit"}, "INVALID_VALUE", ["digit", "digits"]),
    "init": ({"init": "zeros"}, "INVALID_VALUE", ["zeros", "pretrained"]),
    "device": ({"device": "tpu"}, "INVALID_VALUE", ["tpu", "cpu"]),
    "long name": ({"name": "x" * 101}, "INVALID_VALUE", ["100"]),
    "capacity": ({"capacity": 100_001}, "TOO_MANY_PARTICIPANTS", ["100001", "100000"]),
    "a megabyte": ({"rule": "x" * 1_000_000}, "INVALID_VALUE", ["rule"]),
}


@pytest.mark.parametrize("case", WRONG_SPECS)
async def test_an_impossible_federation_is_refused_in_words(create, case):
    fields, reason, words = WRONG_SPECS[case]
    found = await refusal(create(**fields))
    code = Code.INVALID_ARGUMENT if reason == "INVALID_VALUE" else Code.RESOURCE_EXHAUSTED
    assert (found.code, found.reason) == (code, reason), found
    for word in words:
        assert word in found.message


async def test_cuda_is_refused_where_there_is_none(create, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = await refusal(create(device="cuda"))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    assert found.metadata["field"] == "device"


@pytest.fixture
async def tight(tmp_path) -> AsyncIterator["rpc.AggregatorServiceAsyncStub"]:
    """An aggregator for two federations of three."""
    service = AggregatorService(tmp_path, Limits(federations=2, participants=3))
    async with serving(
        "127.0.0.1:0",
        lambda server: rpc.add_AggregatorServiceServicer_to_server(service, server),
        [],
    ) as port:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield rpc.AggregatorServiceStub(channel)
        await service.close()


async def test_limits_hold_until_a_federation_is_closed(tight):
    request = pb.CreateFederationRequest(
        spec=pb.FederationSpec(model="net", dataset="digits", init="random")
    )
    # All at once: none may slip through while another is being measured.
    answers = await asyncio.gather(
        *(awaited(tight.CreateFederation(request)) for _ in range(4)), return_exceptions=True
    )
    made = [one for one in answers if isinstance(one, pb.CreateFederationResponse)]
    refused = [Refusal.of(one) for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert len(made) == 2
    assert {(one.code, one.reason) for one in refused} == {
        (Code.RESOURCE_EXHAUSTED, "TOO_MANY_FEDERATIONS")
    }
    assert made[0].federation.spec.capacity == 3
    listed = await tight.ListFederations(pb.ListFederationsRequest())
    ids = [one.federation.federation_id for one in made]
    assert sorted(one.federation_id for one in listed.federations) == sorted(ids)
    await tight.CloseFederation(pb.CloseFederationRequest(federation_id=ids[0]))
    await tight.CreateFederation(request)


async def awaited(call):
    return await call


UNKNOWN = {
    "GetFederation": pb.GetFederationRequest,
    "CloseFederation": pb.CloseFederationRequest,
    "Enroll": pb.EnrollRequest,
    "GetModel": pb.GetModelRequest,
    "OpenRound": pb.OpenRoundRequest,
    "WatchRounds": pb.WatchRoundsRequest,
    "GetAccuracyHistory": pb.GetAccuracyHistoryRequest,
    "ListParticipants": pb.ListParticipantsRequest,
}


@pytest.mark.parametrize("method", UNKNOWN)
async def test_a_federation_that_does_not_exist_is_named(aggregator, method):
    call = getattr(rpc.AggregatorServiceStub(aggregator), method)(
        UNKNOWN[method](federation_id="n" * 5_000)
    )
    found = await refusal(anext(aiter(call)) if hasattr(call, "__aiter__") else call)
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_FEDERATION")
    assert "nnn" in found.message
    assert len(found.message) < 200


async def test_a_closed_federation_is_gone_and_ends_its_watchers(federation):
    request = pb.WatchRoundsRequest(federation_id=federation.id)
    opened = asyncio.Semaphore(0)

    async def watch() -> list[str | None]:
        seen = []
        async for event in federation.stub.WatchRounds(request, timeout=PATIENCE):
            seen.append(event.WhichOneof("event"))
            if event.HasField("opened"):
                opened.release()
        return seen

    watchers = [asyncio.create_task(watch()) for _ in range(3)]
    for _ in watchers:
        await asyncio.wait_for(opened.acquire(), PATIENCE)
    await federation.stub.CloseFederation(pb.CloseFederationRequest(federation_id=federation.id))
    seen = await asyncio.wait_for(asyncio.gather(*watchers), PATIENCE)
    assert seen == [["closed", "opened"]] * 3
    found = await federation.refusal(federation.messages(0, ones(federation)))
    assert found.reason == "UNKNOWN_FEDERATION"
    listed = await federation.stub.ListFederations(pb.ListFederationsRequest())
    assert not listed.federations


async def test_who_is_inside_when_a_federation_closes_is_told_and_nothing_is_aggregated(
    create, monkeypatch
):
    federation = await small(await create(model="cnn"))
    await federation.open()
    (message,) = federation.messages(0, ones(federation))
    rest = message.chunk.data[100_000:]
    message.chunk.data = message.chunk.data[:100_000]
    sent, closed = asyncio.Event(), asyncio.Event()

    async def in_two_parts():
        yield message
        sent.set()
        await closed.wait()
        second = pb.SubmitUpdateRequest()
        second.chunk.offset, second.chunk.data = 100_000, rest
        yield second

    aggregated = []
    monkeypatch.setattr(
        federation_module.Federation,
        "_aggregate",
        lambda self, current: aggregated.append(current.number),
    )
    inside = asyncio.ensure_future(awaited(federation.stub.SubmitUpdate(in_two_parts())))
    await asyncio.wait_for(sent.wait(), PATIENCE)
    while not await arriving(federation, 0):  # noqa: ASYNC110 - across the wire
        await asyncio.sleep(0.005)
    await federation.stub.CloseFederation(pb.CloseFederationRequest(federation_id=federation.id))
    closed.set()
    found = await refusal(inside)
    assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "ROUND_CLOSED")
    assert aggregated == []


async def arriving(federation, index: int) -> bool:
    """Whether the aggregator has begun to take this participant's update."""
    broken = federation.messages(index, ones(federation))
    broken[0].header.checksum ^= 1  # refused without consequence if nothing is arriving
    return (await federation.refusal(broken)).reason != "CHECKSUM_MISMATCH"


# --- enrolment


async def test_enrolment_is_all_or_none_over_the_wire(create):
    federation = await create(capacity=3)

    def request(*wanted: tuple[str, int | None]) -> pb.EnrollRequest:
        return pb.EnrollRequest(
            federation_id=federation.id,
            enrollments=[
                pb.Enrollment(identity=name, credential=bytes(16), participant_index=index)
                for name, index in wanted
            ],
        )

    found = await refusal(federation.stub.Enroll(request(("a", None), ("b", None), ("c", 9))))
    assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, "FEDERATION_FULL")
    described = await federation.stub.GetFederation(
        pb.GetFederationRequest(federation_id=federation.id)
    )
    assert described.federation.participants == 0
    for _ in range(2):
        answer = await federation.stub.Enroll(request(("a", 2), ("b", None)))
        assert [(m.identity, m.participant_index) for m in answer.memberships] == [
            ("a", 2),
            ("b", 0),
        ]


# --- rounds


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
async def test_an_impossible_round_is_refused_and_the_right_one_opens(create, case):
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


async def test_nobody_enrolled_is_no_round(create):
    federation = await create()
    found = await refusal(federation.open())
    assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "NO_PARTICIPANTS")


async def test_a_round_cannot_be_opened_twice(federation):
    for number in (1, 2):
        found = await refusal(federation.open(number))
        assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "ROUND_OPEN")
        assert "round 1 is still open" in found.message


async def test_a_round_too_large_for_the_machine_is_refused(create, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 100)  # pages, and bytes of each
    federation = await small(await create(rule="median"))
    found = await refusal(federation.open())
    assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, "ROUND_TOO_LARGE")


async def test_who_enrols_during_a_round_takes_part_in_the_next(federation):
    await federation.enroll(6)
    found = await federation.refusal(federation.messages(5, ones(federation)))
    assert found.reason == "NOT_SCHEDULED"
    for index in range(5):
        await federation.submit(index, ones(federation))
    await federation.closed(1)
    assert (await federation.open(2)).participants == 6


async def test_a_rule_that_breaks_down_ends_the_round_and_keeps_the_model(create, monkeypatch):
    federation = await small(await create(rule="median"))
    before = await federation.model()

    def broken(self, updates, context):
        raise IndexError("a bug in the rule")

    with monkeypatch.context() as patched:
        patched.setattr(aggregation.Median, "combine", broken)
        entry = await play(federation, 1, 2)
    assert "median" in entry.problem
    assert "a bug in the rule" in entry.problem
    np.testing.assert_array_equal(await federation.model(), before)
    assert (await play(federation, 2, 2)).problem == ""


async def test_a_destroyed_model_is_reported_and_never_crashes(create):
    federation = await small(await create(rule="fedavg"), 1)
    for number in range(1, 4):
        await federation.open(number)
        await federation.submit(0, ones(federation, 9e14 if number == 1 else 1.0), number)
        entry = await federation.closed(number)
        assert entry.updates == 1
        assert 0 <= entry.accuracy <= 1
    assert not np.isnan(entry.accuracy)


async def test_a_million_empty_pieces_do_not_keep_everyone_waiting(federation):
    header = federation.header(0, credential=b"not the right one")
    pieces = [pb.UpdatePiece(header=header), *[pb.UpdatePiece()] * 20_000]
    found = await refusal(
        federation.stub.SubmitUpdates(iter([pb.SubmitUpdatesRequest(pieces=pieces)]))
    )
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "TOO_MANY_UPDATES")


# --- the model


async def test_the_model_of_a_round_is_given_while_it_is_open(federation):
    async def header(round_number: int) -> pb.ModelHeader:
        request = pb.GetModelRequest(federation_id=federation.id, round=round_number)
        return (await anext(aiter(federation.stub.GetModel(request)))).header

    assert (await header(1)).round == 1
    assert (await header(0)).round == 1
    found = await refusal(header(2))
    assert (found.code, found.reason) == (Code.OUT_OF_RANGE, "FUTURE_ROUND")
    for index in range(5):
        await federation.submit(index, ones(federation))
    await federation.closed(1)
    found = await refusal(header(1))
    assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "STALE_ROUND")
    assert (await header(0)).round == 2
    found = await refusal(header(2))
    assert (found.code, found.reason) == (Code.OUT_OF_RANGE, "FUTURE_ROUND")
    await federation.open(2)
    assert (await header(2)).round == 2


async def test_the_manifest_describes_the_model(federation):
    request = pb.GetModelRequest(federation_id=federation.id)
    (message,) = [one async for one in federation.stub.GetModel(request)]
    manifest = message.header.manifest
    assert manifest.byte_length == 4 * federation.size == len(message.chunk.data)
    assert sum(int(np.prod(one.shape)) for one in manifest.tensors) == federation.size
    assert len({one.name for one in manifest.tensors}) == len(manifest.tensors) > 1


# --- participants


def listing(federation, **fields: object) -> pb.ListParticipantsRequest:
    return pb.ListParticipantsRequest(federation_id=federation.id, **fields)


async def test_five_thousand_in_one_request_and_page_by_page(create):
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
async def test_pages_of_any_size(federation, size, pages):
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
async def test_a_page_token_of_somebody_else_is_refused(federation, token):
    found = await refusal(federation.stub.ListParticipants(listing(federation, page_token=token)))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    assert "page_token" in found.message


async def test_a_page_too_large_and_an_unknown_round_are_refused(federation):
    found = await refusal(federation.stub.ListParticipants(listing(federation, page_size=10_001)))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    found = await refusal(federation.stub.ListParticipants(listing(federation, round=1)))
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_ROUND")


async def test_what_became_of_each_is_remembered_by_round(create, monkeypatch):
    federation = await create(rule="krum:f=0")
    await federation.enroll(6)
    await federation.open(1, indices=[0, 1, 2, 3, 4], deadline=20, threshold=4)
    bad = ones(federation)
    bad[3] = np.inf
    await federation.refusal(federation.messages(1, bad))
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


async def test_only_the_last_rounds_are_kept_in_detail(create, monkeypatch):
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


# --- watching


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
