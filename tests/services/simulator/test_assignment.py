"""Tests of the assignment to workers: distribution, lost and returning workers, notes."""

import asyncio
import gc
import weakref

import pytest

from fedsiege.services.simulator import assignment as muster_module
from fedsiege.services.simulator.assignment import WorkersMissing
from fedsiege.v1 import simulator_pb2 as pb
from tests.services.simulator.assignment_scene import ATTACKER, SHARES, Scene, told


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def ready(scene: Scene) -> None:
    await asyncio.wait_for(scene.assignment.ready(), 10)


async def test_missing_workers_are_described_until_they_attach(scene):
    assert scene.assignment.missing() == (
        "waiting for 3 places on client workers (0 are there) and 3 places on attacker workers "
        "(0 are there)"
    )
    scene.attach("a", 2)
    assert "3 places on client workers (2 are there)" in scene.assignment.missing()
    scene.attach("b", 1)
    assert scene.assignment.missing() == "waiting for 3 places on attacker workers (0 are there)"
    worker = scene.attach("x", 3, ATTACKER)
    assert scene.assignment.missing() == ""
    scene.workers.detach(worker)
    assert scene.assignment.missing() != ""


async def test_every_change_wakes_waiting_tasks(scene):
    for change in (
        lambda: scene.attach("a", 1),
        lambda: scene.workers.detach(scene.workers.get("a")),
    ):
        waiting = asyncio.create_task(scene.assignment.changed())
        await asyncio.sleep(0)
        assert not waiting.done()
        change()
        await asyncio.wait_for(waiting, 10)


async def test_an_assignment_without_hostile_participants_needs_no_attackers():
    scene = Scene(hostile=set())
    scene.attach("a", 6)
    assert scene.assignment.missing() == ""
    scene.assignment.assign("f1")


async def test_participants_are_assigned_by_kind_of_worker(scene):
    workers = scene.assigned()
    shares = {}
    for worker in workers:
        (message,) = told(worker)
        join = message.join
        shares[worker.name] = list(join.participant_indices)
        assert worker.experiment_id == join.experiment_id == "e1"
        assert join.federation_id == "f1"
        assert (join.model, join.seed, join.num_participants) == ("net", 2**63, 6)
        assert join.device == "cpu"
        if worker.hello.kind == ATTACKER:
            assert join.WhichOneof("task") == "attack"
            assert join.attack.attack == "random:scale=2"
        else:
            training = dict(join.training.settings.items())
            assert (training["partition"], training["samples"]) == ("iid", 4)
            assert (training["lr"], training["momentum"], training["clip"]) == (0.5, 0.9, 0)
            assert not training.keys() & {"attack", "attack_name", "rule", "audit"}
    assert shares == SHARES


async def test_workers_that_are_not_needed_get_no_message(scene):
    workers = [*scene.everyone(), scene.attach("y", 9, ATTACKER), scene.attach("z", 9, ATTACKER)]
    for worker in workers[:2]:
        scene.workers.detach(worker)
    scene.attach("a", 9)
    scene.assignment.assign("f1")
    idle = [worker for worker in workers if not worker.experiment_id and worker in scene.workers]
    assert all(not told(worker) for worker in idle)


async def test_a_worker_that_left_before_the_assignment_is_missing(scene):
    workers = scene.everyone()
    scene.workers.detach(workers[2])
    with pytest.raises(WorkersMissing, match="3 places on attacker workers"):
        scene.assignment.assign("f1")
    assert not told(workers[0]), "nobody is assigned by halves"


async def test_an_assignment_is_ready_when_all_have_joined(scene):
    workers = scene.assigned()
    waiting = asyncio.create_task(ready(scene))
    for worker in workers:
        await asyncio.sleep(0)
        assert not waiting.done()
        scene.say_joined(worker)
    await waiting
    assert scene.notes == [f"worker {name}: by hand" for name in "abx"]
    scene.say_joined(workers[0])
    assert len(scene.notes) == 3, "saying it twice is no news"


async def test_a_worker_that_cannot_join_ends_the_experiment_with_its_reason(scene):
    workers = scene.assigned()
    waiting = asyncio.create_task(ready(scene))
    scene.say_failed(workers[1], "no such data set")
    with pytest.raises(WorkersMissing, match="worker b: no such data set"):
        await waiting


async def test_a_worker_that_enrolled_foreign_participants_ends_the_experiment(scene):
    workers = scene.assigned()
    scene.say_joined(workers[1], [0])
    with pytest.raises(WorkersMissing, match="worker b enrolled participants of other workers"):
        await ready(scene)


async def test_late_workers_are_named(scene, monkeypatch):
    monkeypatch.setattr(muster_module, "JOIN_TIMEOUT", 0.05)
    workers = scene.assigned()
    scene.say_joined(workers[0])
    with pytest.raises(WorkersMissing, match="not ready after 0 s: b, x"):
        await ready(scene)


async def test_messages_about_others_or_from_an_old_stream_are_ignored(scene):
    workers = scene.assigned()
    stranger = scene.attach("stranger", 1)
    scene.say_failed(stranger, "I do not like it")
    scene.say_joined(stranger, SHARES["a"])
    again = scene.attach("a", 2)
    scene.say_failed(workers[0], "from the old line")
    for worker in (again, *workers[1:]):
        scene.say_joined(worker)
    await ready(scene)


async def test_all_available_participants_are_scheduled(scene):
    workers = scene.joined()
    assert await scene.assignment.present(1.0) == [0, 1, 2, 3, 4, 5]
    scene.assignment.start_round(7, range(6), 2.5)
    for worker in workers:
        (message,) = told(worker)
        order = message.take_part
        assert (order.experiment_id, order.round) == ("e1", 7)
        assert list(order.participant_indices) == SHARES[worker.name]
        assert order.deadline.ToMilliseconds() == 2_500


async def test_only_scheduled_participants_are_sent_into_a_round(scene):
    workers = scene.joined()
    scene.assignment.start_round(1, [0, 3], 1.0)
    called = [[list(m.take_part.participant_indices) for m in told(worker)] for worker in workers]
    assert called == [[[0]], [], [[3]]], "a worker with nobody scheduled is left alone"


async def test_enrolled_participants_may_take_part_before_others_have_enrolled(scene):
    workers = scene.assigned()
    for worker in workers:
        told(worker)
    scene.say_joined(workers[2], [1, 5])
    assert await scene.assignment.present(1.0) == [1, 5]
    waiting = asyncio.create_task(ready(scene))
    for worker in workers[:2]:
        scene.say_joined(worker)
    await asyncio.sleep(0)
    assert not waiting.done(), "it is not ready without participant 3"
    scene.assignment.start_round(1, [1, 3, 5], 1.0)
    (message,) = told(workers[2])
    assert list(message.take_part.participant_indices) == [1, 5]
    scene.say_joined(workers[2])
    await waiting


async def test_a_lost_worker_misses_rounds_until_it_has_joined_again(scene):
    workers = scene.joined()
    scene.workers.detach(workers[2])
    assert "worker x is gone; its participants miss rounds" in scene.notes
    assert await scene.assignment.present(1.0) == [0, 2, 4]
    scene.assignment.start_round(1, range(6), 1.0)
    assert [len(told(worker)) for worker in workers] == [1, 1, 0]

    back = scene.attach("x", 3, ATTACKER)
    assert "worker x is back" in scene.notes
    (message,) = told(back)
    assert list(message.join.participant_indices) == SHARES["x"], "it is told again"
    assert await scene.assignment.present(1.0) == [0, 2, 4], "but not ready yet"
    scene.say_joined(back)
    assert await scene.assignment.present(1.0) == [0, 1, 2, 3, 4, 5]
    scene.assignment.start_round(2, range(6), 1.0)
    assert [len(told(worker)) for worker in (*workers[:2], back)] == [1, 1, 1]


async def test_a_worker_that_cannot_join_again_is_noted(scene):
    workers = scene.joined()
    await ready(scene)
    scene.workers.detach(workers[2])
    back = scene.attach("x", 3, ATTACKER)
    scene.say_failed(back, "the aggregator refused: WRONG_CREDENTIAL")
    assert "worker x: the aggregator refused: WRONG_CREDENTIAL" in scene.notes
    assert await scene.assignment.present(1.0) == [0, 2, 4], "the others go on"


async def test_a_stream_replaced_by_a_new_one_counts_as_lost(scene):
    scene.joined()
    again = scene.attach("a", 2)
    (message,) = told(again)
    assert list(message.join.participant_indices) == SHARES["a"]
    assert await scene.assignment.present(1.0) == [1, 3, 4, 5]


async def test_a_new_worker_gets_no_participants_of_a_fixed_roster(scene):
    scene.joined()
    newcomer = scene.attach("new", 99)
    scene.assignment.start_round(1, range(6), 1.0)
    assert not told(newcomer)


async def test_without_participants_it_waits_for_the_first_to_return(scene):
    for worker in scene.joined():
        scene.workers.detach(worker)
    waiting = asyncio.create_task(scene.assignment.present(10.0))
    await asyncio.sleep(0)
    back = scene.attach("b", 9)
    await asyncio.sleep(0)
    assert not waiting.done()
    scene.say_joined(back)
    assert await asyncio.wait_for(waiting, 10) == [4]


async def test_without_participants_for_too_long_it_fails(scene):
    for worker in scene.joined():
        scene.workers.detach(worker)
    with pytest.raises(WorkersMissing, match=r"no participant was available for 0\.05 s"):
        await scene.assignment.present(0.05)


async def test_problems_of_workers_are_noted(scene):
    workers = scene.joined()
    report = pb.RoundReport(experiment_id="e1", round=4, submitted=1, refused=2, problem="a NaN")
    scene.assignment.handle(workers[1], pb.AttachRequest(round_report=report))
    assert scene.notes[-1] == "round 4: refused: 2 updates of b; the first: a NaN"
    scene.say_failed(workers[0], "out of memory")
    assert scene.notes[-1] == "worker a: out of memory"
    before = list(scene.notes)
    report.ClearField("problem")
    scene.assignment.handle(workers[1], pb.AttachRequest(round_report=report))
    assert scene.notes == before, "all well is no news"


async def test_notes_of_each_worker_are_limited_and_counted(scene):
    workers = scene.joined()
    before = len(scene.notes)
    for number in range(1_000):
        scene.say_failed(workers[2], f"complaint {number}")
        report = pb.RoundReport(experiment_id="e1", round=1, refused=1, problem="again")
        scene.assignment.handle(workers[2], pb.AttachRequest(round_report=report))
    scene.say_failed(workers[0], "out of memory")
    said = scene.notes[before:]
    assert said[-1] == "worker a: out of memory"
    assert len(said) < 10
    scene.assignment.start_round(2, [0, 1], 1.0)
    left_out = 2_000 - (len(said) - 1)
    assert scene.notes[-1] == f"worker x: {left_out} more reports were left out"
    scene.say_failed(workers[2], "once more")
    assert scene.notes[-1] == "worker x: once more", "in the next round it is heard again"


async def test_notes_of_a_reconnecting_worker_are_limited_and_counted(scene):
    scene.joined()
    before = len(scene.notes)
    for _ in range(100):
        scene.workers.detach(scene.workers.get("a"))
        scene.attach("a", 2)
    assert len(scene.notes) - before < 10
    scene.assignment.release()
    assert scene.notes[-1].startswith("worker a: 19")


FORGED = "no\n12:00:00 simulator  INFO    all is well\x1b[2J"


async def test_text_of_a_worker_becomes_one_bounded_line(scene):
    workers = scene.joined()
    before = len(scene.notes)
    report = pb.RoundReport(experiment_id="e1", round=4, refused=1, problem=FORGED * 10_000)
    scene.assignment.handle(workers[1], pb.AttachRequest(round_report=report))
    scene.say_failed(workers[0], FORGED * 10_000)
    joined = pb.Joined(experiment_id="e1", method=FORGED * 10_000)
    fresh = Scene()
    scene_workers = fresh.assigned()
    fresh.assignment.handle(scene_workers[0], pb.AttachRequest(joined=joined))
    for note in [*scene.notes[before:], *fresh.notes]:
        assert note.isprintable()
        assert len(note) < 500
        assert r"no\n12:00:00" in note


async def test_reasons_of_intrusions_are_bounded_and_printable():
    scene = Scene(intrusions="sybils")
    attacker = scene.joined()[2]
    report = pb.IntrusionReport(experiment_id="e1", intrusion="sybils", tried=1)
    report.refusals.update({f"{FORGED} {number} {'x' * 1_000}": 1 for number in range(5_000)})
    scene.assignment.handle(attacker, pb.AttachRequest(intrusion=report))
    [kept] = scene.assignment.intrusions
    assert len(kept.refusals) <= 50
    assert all(reason.isprintable() and len(reason) < 200 for reason in kept.refusals)


@pytest.mark.parametrize(
    ("refused", "late", "said"),
    [
        (10, 10, ["round 4: 10 updates of b arrived after it had closed: missing, not rejected"]),
        (
            3,
            1,
            [
                "round 4: 1 update of b arrived after it had closed: missing, not rejected",
                "round 4: refused: 2 updates of b; the first: a NaN",
            ],
        ),
        (2, 99, ["round 4: 2 updates of b arrived after it had closed: missing, not rejected"]),
    ],
)
async def test_late_updates_are_missing_and_not_refused(scene, refused, late, said):
    worker = scene.joined()[1]
    before = len(scene.notes)
    report = pb.RoundReport(
        experiment_id="e1", round=4, refused=refused, late=late, problem="a NaN"
    )
    scene.assignment.handle(worker, pb.AttachRequest(round_report=report))
    assert scene.notes[before:] == said
    assert await scene.assignment.present(1.0) == [0, 1, 2, 3, 4, 5]


async def test_a_released_assignment_sends_leave_to_its_workers(scene):
    workers = scene.joined()
    scene.workers.detach(workers[0])
    scene.assignment.release()
    assert not told(workers[0]), "nobody listens there any more"
    for worker in workers[1:]:
        (message,) = told(worker)
        assert message.leave.experiment_id == "e1"
        assert worker.experiment_id == ""
    notes = list(scene.notes)
    scene.workers.detach(workers[1])
    assert not told(scene.attach("b", 9))
    assert scene.notes == notes, "what happens now is no business of this experiment"
    forgotten = weakref.ref(scene.assignment)
    del scene.assignment
    gc.collect()
    assert forgotten() is None, "nobody tells it anything any more"


@pytest.mark.parametrize(
    ("attack", "hostile", "benign", "rule"),
    [
        ("mpaf", [], [], ""),
        ("ipm", [1, 5], [], ""),
        ("ipm:knowledge=full", [1, 5], [0, 2, 4], "median"),
    ],
)
def test_attackers_get_what_their_attack_may_know_and_clients_nothing(
    attack, hostile, benign, rule
):
    scene = Scene(attack_name=attack, rule="median", clip=2.0)
    workers = scene.assigned()
    joins = [told(worker)[0].join for worker in workers]
    for worker in workers:
        scene.say_joined(worker)
    assert [join.attack.rule for join in joins] == ["", "", rule]
    assert joins[2].attack.HasField("training") == bool(hostile)
    assert joins[0].training.settings["clip"] == 2.0
    scene.assignment.start_round(1, [0, 1, 2, 4, 5], deadline=9)
    orders = [told(worker)[-1].take_part for worker in workers]
    for order in orders[:2]:
        assert not order.hostile_indices
        assert not order.benign_indices
        assert not order.num_scheduled
    assert list(orders[2].participant_indices) == [1, 5]
    assert list(orders[2].hostile_indices) == hostile
    assert list(orders[2].benign_indices) == benign
    assert orders[2].num_scheduled == (5 if hostile else 0)
