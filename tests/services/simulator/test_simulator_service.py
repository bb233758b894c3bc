"""Tests of the simulator's service over gRPC: starting, listing, cancelling experiments."""

import pytest

from fedsiege.services.rpc import settings
from fedsiege.services.simulator import service as service_module
from fedsiege.v1 import simulator_pb2 as pb
from tests.services.conftest import refusal
from tests.services.simulator.puppets import Code, has_problem, until


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"attack": 1.5}, "ATTACK", "0 to 1"),
        ({"clients": 1_000_001}, "CLIENTS", "1000000"),
        ({"rule": "kram"}, "RULE", "krum"),
        ({"rule": "krum:f=2"}, "RULE", "7 updates, there are 5"),
        ({"attack_name": "mpfa"}, "ATTACK_NAME", "mpaf"),
        ({"model": "nett"}, "MODEL", "net"),
        ({"dataset": "digitz"}, "DATASET", "digits"),
        ({"partition": "dirichlet:x"}, "PARTITION", "dirichlet"),
        ({"threshold": 6}, "THRESHOLD", "5"),
        ({"min_clients": 2}, "MIN_CLIENTS", "only with CLIENTS=0"),
        ({"partition": "iid", "samples": 500}, "SAMPLES", "2,500 samples, the data set has 1,442"),
    ],
)
async def test_an_invalid_experiment_is_refused_at_once(simulator, fields, field, words):
    found = await refusal(simulator.start(**fields))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    assert found.metadata["field"] == field
    assert words in found.message
    listed = await simulator.stub.ListExperiments(pb.ListExperimentsRequest())
    assert not listed.experiments
    assert not simulator.runs.exists()


async def test_a_waiting_experiment_says_why_and_can_be_cancelled(simulator):
    started = await simulator.start(name="mine", seed=2**64 - 1)
    assert started.state == pb.EXPERIMENT_STATE_WAITING
    assert started.hostile_indices == [1, 3]
    spec = settings.read(started.spec)
    assert (spec.name, spec.seed) == ("mine", 2**64 - 1)
    assert spec.threshold == 5, "resolved"
    await until(lambda: has_problem(simulator, started.experiment_id, "3 places on client"))
    await simulator.attached("a", 3)
    await until(
        lambda: has_problem(
            simulator,
            started.experiment_id,
            "waiting for 2 places on attacker workers (0 are there)",
        )
    )
    cancelled = await simulator.cancel(started.experiment_id)
    assert (cancelled.state, cancelled.problem) == (pb.EXPERIMENT_STATE_CANCELLED, "cancelled")
    assert cancelled.end_time.ToMicroseconds() >= cancelled.create_time.ToMicroseconds()
    assert await simulator.cancel(started.experiment_id) == cancelled
    assert not simulator.runs.exists(), "nothing began, nothing is written"


async def test_experiments_run_one_after_the_other(simulator):
    first = await simulator.start()
    second = await simulator.start()
    await until(lambda: has_problem(simulator, first.experiment_id, "places"))
    await until(lambda: has_problem(simulator, second.experiment_id, "another experiment"))
    await simulator.cancel(first.experiment_id)
    await until(lambda: has_problem(simulator, second.experiment_id, "places"))


async def test_too_many_unfinished_experiments_are_refused(simulator, monkeypatch):
    monkeypatch.setattr(service_module, "MOST_UNFINISHED", 2)
    kept = [await simulator.start() for _ in range(2)]
    found = await refusal(simulator.start())
    assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_EXPERIMENTS")
    await simulator.cancel(kept[0].experiment_id)
    await simulator.start()


@pytest.mark.parametrize("method", ["GetExperiment", "WatchExperiment", "CancelExperiment"])
async def test_an_unknown_experiment_is_named(simulator, method):
    request = getattr(pb, f"{method}Request")(experiment_id="n" * 9_000)
    call = getattr(simulator.stub, method)(request)
    found = await refusal(call.read() if hasattr(call, "read") else call)
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_EXPERIMENT")
    assert "nnn" in found.message
    assert len(found.message) < 200


async def test_experiments_are_listed_newest_first_and_by_pages(simulator):
    ids = [(await simulator.start(name=f"e{i}")).experiment_id for i in range(5)]
    request, pages = pb.ListExperimentsRequest(page_size=2), []
    while not pages or request.page_token:
        response = await simulator.stub.ListExperiments(request)
        pages.append([one.experiment_id for one in response.experiments])
        request.page_token = response.next_page_token
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    response = await simulator.stub.ListExperiments(pb.ListExperimentsRequest(page_size=5))
    assert not response.next_page_token, "the last page says that it is the last"


@pytest.mark.parametrize("fields", [{"page_size": 1_001}, {"page_token": "x" * 9_000}])
async def test_an_invalid_page_is_refused(simulator, fields):
    found = await refusal(simulator.stub.ListExperiments(pb.ListExperimentsRequest(**fields)))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")


async def test_old_experiments_are_forgotten(simulator, monkeypatch):
    monkeypatch.setattr(service_module, "MOST_REMEMBERED", 2)
    ids = []
    for _ in range(4):
        ids.append((await simulator.start()).experiment_id)
        await simulator.cancel(ids[-1])
    await simulator.start()
    found = await refusal(simulator.get(ids[1]))
    assert found.reason == "UNKNOWN_EXPERIMENT"
    assert (await simulator.get(ids[2])).state == pb.EXPERIMENT_STATE_CANCELLED


async def test_a_page_of_experiments_fits_a_message(simulator, monkeypatch):
    monkeypatch.setattr(service_module, "LARGEST_LIST", 2_000)
    ids = [(await simulator.start(name="n" * 100)).experiment_id for _ in range(9)]
    request, listed = pb.ListExperimentsRequest(), []
    while not listed or request.page_token:
        response = await simulator.stub.ListExperiments(request)
        assert response.ByteSize() < 2_100
        assert 1 <= len(response.experiments) < 9
        listed += [one.experiment_id for one in response.experiments]
        request.page_token = response.next_page_token
    assert listed == ids[::-1]


async def test_without_an_id_the_newest_experiment_is_read(simulator):
    found = await refusal(simulator.get(""))
    assert found.reason == "UNKNOWN_EXPERIMENT", "there is none yet"
    await simulator.start(name="first")
    newest = await simulator.start(name="second")
    assert (await simulator.get("")).experiment_id == newest.experiment_id
    assert (await refusal(simulator.cancel(""))).reason == "UNKNOWN_EXPERIMENT"
