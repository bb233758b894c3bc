"""Tests of open federations: slow, lying or failing workers do not end the experiment."""

import asyncio

import pytest

from fedsiege.experiment.roster import Roster
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.simulator import assignment as muster_module
from fedsiege.services.simulator.assignment import WorkersMissing
from fedsiege.services.simulator.open_assignment import OpenAssignment
from fedsiege.services.simulator.workers import AttachedWorker, Workers
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb

CLIENT, ATTACKER = pb.WORKER_KIND_CLIENT, pb.WORKER_KIND_ATTACKER


class Scene:
    """Two client workers of capacity 1, and an attacker of a large capacity."""

    def __init__(self, **settings: object) -> None:
        self.workers = Workers()
        self.notes: list[str] = []
        spec = ExperimentSpec(clients=0, attack=0.5, **settings)
        self.assignment = OpenAssignment("e1", spec, Roster(spec), self.workers, self.notes.append)
        self.a, self.b = (self.workers.attach(hello(name)) for name in "ab")
        self.x = self.workers.attach(hello("x", 100, ATTACKER))
        self.assignment.assign("f1")

    def joins(self, worker: AttachedWorker, *indices: int, refused: int = 0) -> None:
        memberships = [data_pb.Membership(participant_index=index) for index in indices]
        joined = pb.Joined(
            experiment_id="e1", memberships=memberships, method="by hand", refused=refused
        )
        self.assignment.handle(worker, pb.AttachRequest(joined=joined))

    async def there(self) -> list[int]:
        return await self.assignment.present(5)


def hello(name: str, capacity: int = 1, kind: int = CLIENT) -> pb.Hello:
    return pb.Hello(worker=name, capacity=capacity, kind=kind)


async def ready(scene: Scene) -> None:
    await asyncio.wait_for(scene.assignment.ready(), 10)


async def test_it_starts_with_ready_workers_and_adds_others_later(monkeypatch):
    monkeypatch.setattr(muster_module, "JOIN_TIMEOUT", 0.05)
    scene = Scene()
    scene.joins(scene.a, 0)
    scene.joins(scene.x, 2, 3)
    await ready(scene)
    assert scene.notes[-1] == "not ready after 0 s: b"
    assert await scene.there() == [0, 2]  # one fake beside one benign participant
    scene.joins(scene.b, 1)
    assert await scene.there() == [0, 1, 2, 3]


async def test_without_ready_workers_it_cannot_start(monkeypatch):
    monkeypatch.setattr(muster_module, "JOIN_TIMEOUT", 0.05)
    with pytest.raises(WorkersMissing, match="not ready"):
        await ready(Scene())


async def test_a_failing_worker_does_not_end_the_experiment():
    scene = Scene()
    failure = pb.WorkerFailure(experiment_id="e1", problem="no data")
    scene.assignment.handle(scene.b, pb.AttachRequest(failure=failure))
    scene.joins(scene.a, 0)
    scene.joins(scene.x, 2, 3)
    await ready(scene)
    assert "worker b: no data" in scene.notes
    assert await scene.there() == [0, 2]


async def test_a_worker_that_enrols_foreign_participants_is_left_out():
    scene = Scene()
    scene.joins(scene.b, 0, 1)
    scene.joins(scene.a, 0)
    scene.joins(scene.x, 2, 3)
    await ready(scene)
    assert await scene.there() == [0, 2]


async def test_refused_fakes_do_not_delay_the_experiment():
    scene = Scene()
    scene.joins(scene.a, 0)
    scene.joins(scene.b, 1)
    scene.joins(scene.x, 2, refused=1)
    await ready(scene)
    assert await scene.there() == [0, 1, 2]
    assert "1 of 2 hostile participants were refused enrolment" in scene.notes


async def test_a_client_cannot_claim_refusals_of_its_participants(monkeypatch):
    monkeypatch.setattr(muster_module, "JOIN_TIMEOUT", 0.05)
    scene = Scene()
    scene.joins(scene.a, 0)
    scene.joins(scene.x, 2, 3)
    scene.joins(scene.b, refused=1)
    await ready(scene)
    assert scene.notes[-1].startswith("not ready")


async def test_an_intrusion_is_noted_once_and_only_from_an_attacker():
    scene = Scene(intrusions="sybils:5")
    report = pb.IntrusionReport(
        experiment_id="e1",
        intrusion="sybils",
        tried=5,
        succeeded=2,
        refusals={"FEDERATION_FULL": 3},
    )
    uncalled = pb.IntrusionReport(experiment_id="e1", intrusion="replay", tried=1)
    for worker, said in ((scene.a, report), (scene.x, uncalled), (scene.x, report)):
        scene.assignment.handle(worker, pb.AttachRequest(intrusion=said))
    scene.assignment.handle(scene.x, pb.AttachRequest(intrusion=report))
    assert [one.intrusion for one in scene.assignment.intrusions] == ["sybils"]
    assert any("sybils: 2 of 5 attempts succeeded" in note for note in scene.notes)
