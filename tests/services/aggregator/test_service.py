"""Tests of the aggregator's service over gRPC: federations, enrolment, models."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest

from fedsiege.services.aggregator import federation as federation_module
from fedsiege.services.aggregator.service import AggregatorService, Limits
from fedsiege.services.errors import Refusal
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.server import serving
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from tests.services.aggregator.playing import PATIENCE, Code, awaited, ones, small
from tests.services.conftest import receipts_of, refusal, refusal_of


async def test_a_new_federation_reports_its_resolved_spec_and_accuracy(create):
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


async def test_defaults_of_a_specification_are_resolved(create):
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
async def test_an_invalid_specification_is_refused(create, case):
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
    """An aggregator with a limit of two federations of three participants."""
    service = AggregatorService(tmp_path, Limits(federations=2, participants=3))
    async with serving(
        "127.0.0.1:0",
        lambda server: rpc.add_AggregatorServiceServicer_to_server(service, server),
        [],
    ) as port:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield rpc.AggregatorServiceStub(channel)
        await service.close()


async def test_a_closed_federation_no_longer_counts_against_the_limit(tight):
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
async def test_an_unknown_federation_is_named_in_the_error(aggregator, method):
    request = UNKNOWN[method](federation_id="n" * 5_000)
    call = getattr(rpc.AggregatorServiceStub(aggregator), method)(
        iter([request]) if method == "GetModel" else request
    )
    found = await refusal(anext(aiter(call)) if hasattr(call, "__aiter__") else call)
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_FEDERATION")
    assert "nnn" in found.message
    assert len(found.message) < 200


async def test_closing_a_federation_ends_its_watchers(federation):
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
    found = await federation.refusal(federation.pieces(0, ones(federation)))
    assert found.reason == "UNKNOWN_FEDERATION"
    listed = await federation.stub.ListFederations(pb.ListFederationsRequest())
    assert not listed.federations


async def test_closing_a_federation_refuses_updates_that_arrive(create, monkeypatch):
    federation = await small(await create(model="cnn"))
    await federation.open()
    (piece,) = federation.pieces(0, ones(federation))
    rest = piece.chunk.data[100_000:]
    piece.chunk.data = piece.chunk.data[:100_000]
    sent, closed = asyncio.Event(), asyncio.Event()

    async def in_two_parts():
        yield pb.SubmitUpdatesRequest(pieces=[piece])
        sent.set()
        await closed.wait()
        second = pb.UpdatePiece()
        second.chunk.offset, second.chunk.data = 100_000, rest
        yield pb.SubmitUpdatesRequest(pieces=[second])

    aggregated = []
    monkeypatch.setattr(
        federation_module.Federation,
        "_aggregate",
        lambda self, current: aggregated.append(current.number),
    )
    inside = asyncio.create_task(receipts_of(federation.stub.SubmitUpdates(in_two_parts())))
    await asyncio.wait_for(sent.wait(), PATIENCE)
    while not await arriving(federation, 0):  # noqa: ASYNC110 - across the wire
        await asyncio.sleep(0.005)
    await federation.stub.CloseFederation(pb.CloseFederationRequest(federation_id=federation.id))
    closed.set()
    found = await refusal_of(inside)
    assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "ROUND_CLOSED")
    assert aggregated == []


async def arriving(federation, index: int) -> bool:
    """Return whether the aggregator has begun to receive this participant's update."""
    broken = federation.pieces(index, ones(federation))
    broken[0].header.checksum ^= 1  # refused without consequence if nothing is arriving
    return (await federation.refusal(broken)).reason != "CHECKSUM_MISMATCH"


async def test_enrolment_is_all_or_none(create):
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


async def test_the_model_of_a_round_is_served_while_it_is_open(federation):
    async def header(round_number: int) -> pb.ModelHeader:
        request = pb.GetModelRequest(federation_id=federation.id, round=round_number)
        return (await anext(aiter(federation.stub.GetModel(iter([request]))))).header

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


async def test_unscheduled_participants_may_pull_the_model_of_a_closed_round(federation):
    async def weights(round_number: int) -> np.ndarray:
        request = pb.GetModelRequest(
            federation_id=federation.id, round=round_number, even_closed=True
        )
        messages = [one async for one in federation.stub.GetModel(iter([request]))]
        assert messages[0].header.round == round_number
        return np.frombuffer(b"".join(one.chunk.data for one in messages), np.float32)

    async def see(round_number: int, scheduled: range) -> np.ndarray:
        """Run a round and return the model that it started from."""
        if round_number > 1:
            await federation.open(round_number, scheduled)
        seen = await weights(round_number)
        for index in scheduled:
            await federation.submit(index, ones(federation), round_number)
        await federation.closed(round_number)
        return seen

    first = await see(1, range(5))
    found = await refusal(weights(1))
    assert found.reason == "STALE_ROUND", "everyone was scheduled, and has seen it"
    second = await see(2, range(3))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(await weights(2), second)
    third = await see(3, range(3))
    np.testing.assert_array_equal(await weights(3), third)
    assert (await refusal(weights(2))).reason == "STALE_ROUND"
    assert (await refusal(weights(4))).reason == "FUTURE_ROUND"


async def test_the_manifest_describes_the_model(federation):
    request = pb.GetModelRequest(federation_id=federation.id)
    (message,) = [one async for one in federation.stub.GetModel(iter([request]))]
    manifest = message.header.manifest
    assert manifest.byte_length == 4 * federation.size == len(message.chunk.data)
    assert sum(int(np.prod(one.shape)) for one in manifest.tensors) == federation.size
    assert len({one.name for one in manifest.tensors}) == len(manifest.tensors) > 1


async def test_without_an_id_the_newest_federation_is_read(aggregator, create):
    stub = rpc.AggregatorServiceStub(aggregator)
    for request in (pb.GetFederationRequest(), pb.GetAccuracyHistoryRequest()):
        call = getattr(stub, type(request).__name__.removesuffix("Request"))
        found = await refusal(call(request))
        assert found.reason == "UNKNOWN_FEDERATION", "there is none yet"
    await create()
    newest = (await create()).id
    looked = await stub.GetFederation(pb.GetFederationRequest())
    history = await stub.GetAccuracyHistory(pb.GetAccuracyHistoryRequest())
    people = await stub.ListParticipants(pb.ListParticipantsRequest())
    assert looked.federation.federation_id == newest
    assert history.federation_id == people.federation_id == newest
    watching = stub.WatchRounds(pb.WatchRoundsRequest())
    event = await watching.read()
    assert (event.federation_id, event.closed.entry.round) == (newest, 0)
    watching.cancel()


async def test_methods_that_change_a_federation_need_its_id(aggregator, create):
    stub = rpc.AggregatorServiceStub(aggregator)
    await create()
    for name in ("CloseFederation", "Enroll", "OpenRound", "StopWaiting"):
        found = await refusal(getattr(stub, name)(getattr(pb, f"{name}Request")()))
        assert found.reason == "UNKNOWN_FEDERATION", name
