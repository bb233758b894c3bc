"""Tests of attackers without scheduled participants, which observe the model of the round."""

import asyncio

import pytest

from fedsiege.v1 import simulator_pb2 as pb
from tests.services.simulator.assignment_scene import Scene, told


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_an_attacker_without_scheduled_participants_is_awaited(scene):
    *_, attacker = workers = scene.joined()
    scene.assignment.start_round(4, [0, 2], 1.0)
    called = [[list(m.take_part.participant_indices) for m in told(worker)] for worker in workers]
    assert called == [[[0, 2]], [], [[]]]
    waiting = asyncio.create_task(scene.assignment.models_seen(10.0))
    for number in (3, 4):
        await asyncio.sleep(0.01)
        assert not waiting.done()
        report = pb.RoundReport(experiment_id="e1", round=number)
        scene.assignment.handle(attacker, pb.AttachRequest(round_report=report))
    await asyncio.wait_for(waiting, 1)
    scene.assignment.start_round(5, range(6), 1.0)
    await asyncio.wait_for(scene.assignment.models_seen(10.0), 1)  # nothing is waited for


@pytest.mark.parametrize("how", ["lost", "failed", "slow"])
async def test_an_attacker_that_cannot_observe_the_model_delays_no_round(scene, how):
    *_, attacker = scene.joined()
    scene.assignment.start_round(4, [0, 2], 1.0)
    if how == "lost":
        scene.workers.detach(attacker)
    elif how == "failed":
        scene.say_failed(attacker, "no memory")
    await asyncio.wait_for(scene.assignment.models_seen(0.05 if how == "slow" else 10.0), 1)
    less = "round 4: worker x has not observed the model of the round"
    assert (less in scene.notes) == (how == "slow")
