"""Tests of a real worker, with participants, simulator and aggregator that a test controls."""

import asyncio
import threading

import grpc
import numpy as np
import pytest

from fedsiege.services.errors import Malformed
from fedsiege.services.worker.worker import Worker
from fedsiege.v1 import simulator_pb2 as pb
from tests.services.worker.stage import PATIENCE, SIZE, Simulator, ToyParticipants, until


async def test_it_attaches_joins_and_takes_part(scene):
    line = await scene.simulator.line()
    assert await line.hear("hello") == scene.hello
    line.join()
    joined = await line.hear("joined")
    assert joined.experiment_id == "e"
    assert joined.method == "by guessing"
    assert [(m.identity, m.participant_index) for m in joined.memberships] == [
        ("w1/0", 2),
        ("w1/1", 4),
        ("w1/2", 5),
    ]
    assert scene.participants.prepared[0].model == "toy"
    assert scene.participants.thread.startswith("participants"), "the event loop must not compute"
    secrets = {e.credential for e in scene.aggregator.enrolled}
    assert len(secrets) == 3
    assert {len(secret) for secret in secrets} == {32}

    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.experiment_id, report.round) == ("e", 1)
    assert (report.submitted, report.refused, report.problem) == (3, 0, "")
    assert report.compute_seconds > 0
    for enrolled in scene.aggregator.enrolled:
        header, update = scene.aggregator.taken[1, enrolled.participant_index]
        assert header.credential == enrolled.credential
        assert header.federation_id == "f"
        assert (header.num_samples, header.num_steps) == (7, 3)
        expected = np.arange(SIZE) + 100 + enrolled.participant_index
        np.testing.assert_array_equal(update, expected)


async def test_the_model_is_pulled_once_a_round(scene):
    line = await scene.simulator.joined()
    for number in (1, 2, 3):
        line.take_part(number)
        await line.hear("round_report")
    assert scene.aggregator.models == [1, 2, 3]
    assert scene.participants.rounds == [1, 2, 3]


async def test_only_scheduled_participants_take_part(scene):
    line = await scene.simulator.joined()
    line.take_part(1, [4])
    assert (await line.hear("round_report")).submitted == 1
    assert list(scene.aggregator.taken) == [(1, 4)]


async def test_without_scheduled_participants_it_observes_the_model(scene):
    line = await scene.simulator.joined()
    line.take_part(1)
    await line.hear("round_report")
    line.take_part(2, [])
    report = await line.hear("round_report")
    assert (report.round, report.submitted, report.problem) == (2, 0, "")
    assert scene.aggregator.models == [1, 2]
    assert scene.aggregator.only_looked == [2]
    assert list(scene.participants.seen) == [2]
    np.testing.assert_array_equal(scene.participants.seen[2], np.arange(SIZE, dtype=np.float32))
    assert {number for number, _ in scene.aggregator.taken} == {1}


@pytest.mark.parametrize("how", [None, grpc.StatusCode.UNAVAILABLE, Malformed("NO", "not you")])
async def test_it_reconnects_and_goes_on(scene, how):
    line = await scene.simulator.joined()
    secrets = [e.credential for e in scene.aggregator.enrolled]
    line.tells.put_nowait(how)
    again = await scene.simulator.line()
    assert await again.hear("hello") == scene.hello
    again.join()
    joined = await again.hear("joined")
    assert joined.method == "by guessing"
    assert [e.credential for e in scene.aggregator.enrolled] == secrets * 2, "same secrets"
    again.take_part(1)
    assert (await again.hear("round_report")).submitted == 3
    assert len(scene.participants.prepared) == 1, "it is ready already"


async def test_many_reconnections_leave_no_tasks(scene):
    line = await scene.simulator.attached()
    for _ in range(3):
        line.tells.put_nowait(None)
        line = await scene.simulator.attached()
    before = len(asyncio.all_tasks())
    for _ in range(10):
        line.tells.put_nowait(None)
        line = await scene.simulator.attached()
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_services_may_start_in_any_order(serve, scene, free_port):
    late = Simulator()
    hello = pb.Hello(worker="early", kind=pb.WORKER_KIND_ATTACKER, capacity=1, version="0")
    address = f"127.0.0.1:{free_port}"
    early = asyncio.create_task(Worker(hello, ToyParticipants, address, address).run())
    await asyncio.sleep(0.05)
    assert not early.done()
    await serve(late, free_port)
    line = await late.line()
    assert (await line.hear("hello")).worker == "early"
    early.cancel()


async def test_a_worker_that_leaves_stops_without_a_report(scene):
    scene.participants.go_on = threading.Event()
    line = await scene.simulator.joined()
    line.take_part(1)
    assert await asyncio.to_thread(scene.participants.computing.wait, PATIENCE)
    line.leave()
    line.join(experiment="next", indices=[0])
    await until(lambda: len(scene.hosted) == 2)
    scene.participants.go_on.set()
    joined = await line.hear("joined")
    assert joined.experiment_id == "next"
    assert set(scene.aggregator.submissions) <= {2, 4}, "nothing of what it computed after that"
    line.take_part(2)  # of an experiment it has forgotten
    line.take_part(1, [0], experiment="next")
    assert (await line.hear("round_report")).experiment_id == "next"


async def test_a_newer_round_replaces_an_older_one(scene):
    scene.aggregator.hold_models = asyncio.Event()
    line = await scene.simulator.joined()
    line.take_part(1)
    await asyncio.wait_for(scene.aggregator.asked_for_model.wait(), PATIENCE)
    line.take_part(2)
    await asyncio.wait_for(scene.aggregator.model_cancelled.wait(), PATIENCE)
    scene.aggregator.hold_models.set()
    report = await line.hear("round_report")
    assert (report.round, report.submitted) == (2, 3)
    assert {number for number, _ in scene.aggregator.taken} == {2}
    assert scene.participants.rounds == [2]
    assert line.heard.empty()


async def test_a_newer_round_cancels_the_uploads_of_an_older_one(scene):
    held = asyncio.Event()

    async def hold_round_one(header):
        if header.round == 1:
            held.set()
            await asyncio.Event().wait()

    scene.aggregator.before = hold_round_one
    line = await scene.simulator.joined()
    line.take_part(1)
    await asyncio.wait_for(held.wait(), PATIENCE)
    line.take_part(2)
    report = await line.hear("round_report")
    assert (report.round, report.submitted) == (2, 3)
    await asyncio.wait_for(scene.aggregator.cut.wait(), PATIENCE)


async def test_a_newer_round_cancels_uploads_during_a_computation(scene):
    async def hold_round_one(header):
        if header.round == 1:
            await asyncio.Event().wait()

    scene.aggregator.before = hold_round_one
    scene.participants.go_on = threading.Event()
    line = await scene.simulator.joined()
    line.take_part(1)
    await until(lambda: scene.aggregator.submissions == [2])
    line.take_part(2)
    await asyncio.wait_for(scene.aggregator.cut.wait(), PATIENCE)
    scene.participants.go_on.set()
    report = await line.hear("round_report")
    assert (report.round, report.submitted) == (2, 3)


async def test_one_block_is_sent_while_the_next_is_computed(scene):
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(header):
        held.set()
        await go_on.wait()

    scene.aggregator.before = hold
    line = await scene.simulator.joined(indices=range(20))
    line.take_part(1, range(20))
    await asyncio.wait_for(held.wait(), PATIENCE)
    await until(lambda: scene.participants.blocks == 2)
    await asyncio.sleep(0.05)
    assert scene.participants.blocks == 2, "memory holds two blocks, however many there are"
    go_on.set()
    assert (await line.hear("round_report")).submitted == 20
    assert scene.aggregator.streams == 10


async def test_two_experiments_do_not_mix(scene):
    line = await scene.simulator.joined()
    line.join(experiment="other", indices=[0, 1])
    assert (await line.hear("joined")).experiment_id == "other"
    line.take_part(1)
    line.take_part(1, [0, 1], experiment="other")
    reports = [await line.hear("round_report") for _ in range(2)]
    assert {(r.experiment_id, r.submitted) for r in reports} == {("e", 3), ("other", 2)}
    assert len(scene.hosted) == 2
