"""Tests of the enrolment of a worker's participants: secrets, tokens, refusals, certificates."""

import asyncio
import contextlib

from fedsiege.services.errors import Exhausted, Forbidden, NotFound, Unauthenticated
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.callers import VerifiedCallers
from fedsiege.services.identity.identity import Identity
from fedsiege.services.identity.tls import Tls
from fedsiege.services.rpc import server
from fedsiege.services.worker import enrolling
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2_grpc as rpc
from tests.services.worker.stage import PATIENCE, Aggregator, Scene, at_work


async def test_many_participants_enrol_in_several_requests(scene, monkeypatch):
    monkeypatch.setattr(enrolling, "ENROLLMENTS_AT_ONCE", 3)
    line = await scene.simulator.attached()
    line.join(indices=range(8))
    joined = await line.hear("joined")
    assert [m.participant_index for m in joined.memberships] == list(range(8))
    assert scene.aggregator.requests == [3, 3, 2]


def roll(enrolled: list[data_pb.Enrollment]) -> list[tuple[str, int]]:
    return [(one.identity, one.participant_index) for one in enrolled]


async def test_slots_do_not_change_when_participants_are_added(scene):
    line = await scene.simulator.joined(indices=[7, 3])
    line.join(indices=[3, 7, 9])
    await line.hear("joined")
    assert dict(roll(scene.aggregator.enrolled)) == {"w1/0": 7, "w1/1": 3, "w1/2": 9}
    line.join(indices=[0, 1], experiment="next")
    await line.hear("joined")
    assert roll(scene.aggregator.enrolled)[-2:] == [("w1/0", 0), ("w1/1", 1)]


async def test_a_clients_participants_enrol_all_or_none(scene):
    scene.aggregator.refused["w1/1"] = Forbidden("TOKEN_REVOKED", "out with you")
    line = await scene.simulator.attached()
    line.join()
    failure = await line.hear("failure")
    assert failure.problem == "the aggregator refused: PERMISSION_DENIED: out with you"
    assert scene.aggregator.requests == [3], "not one by one"


async def test_each_slot_uses_its_token_and_slots_without_are_left_out(attackers):
    line = await attackers.simulator.attached()
    line.join(indices=range(10, 15))
    joined = await line.hear("joined")
    assert [m.participant_index for m in joined.memberships] == [10, 11, 12]
    assert joined.refused == 2
    assert [e.token for e in attackers.aggregator.enrolled] == ["t0", "t1", "t2"]


async def test_a_refused_attacker_does_not_affect_the_others(attackers, caplog):
    attackers.aggregator.refused["w1/1"] = Forbidden("TOKEN_REVOKED", "out with you")
    line = await attackers.simulator.attached()
    line.join()
    joined = await line.hear("joined")
    assert [m.participant_index for m in joined.memberships] == [2, 5]
    assert joined.refused == 1
    assert attackers.aggregator.requests == [3, 1, 1, 1]
    assert "out with you" in caplog.text
    line.take_part(1, [2, 5])
    assert (await line.hear("round_report")).submitted == 2


async def test_an_experiment_goes_on_if_all_attackers_are_refused(attackers):
    attackers.aggregator.enroll_error = Unauthenticated("TOKEN_MISSING", "no token")
    line = await attackers.simulator.attached()
    line.join()
    joined = await line.hear("joined")
    assert (len(joined.memberships), joined.refused) == (0, 3)


async def test_an_error_that_concerns_all_attackers_fails_at_once(attackers):
    attackers.aggregator.enroll_error = NotFound("UNKNOWN_FEDERATION", "there is none")
    line = await attackers.simulator.attached()
    line.join()
    assert "there is none" in (await line.hear("failure")).problem


async def test_a_restarted_worker_has_the_same_secrets(serve, impatient):
    secrets = []
    for _ in range(2):
        async with at_work(Scene(serve), Identity("w1", b"from the place")) as scene:
            await scene.simulator.joined()
            secrets.append({e.identity: e.credential for e in scene.aggregator.enrolled})
    assert secrets[0] == secrets[1]
    assert len(set(secrets[0].values())) == 3


async def test_a_renewed_certificate_is_used_at_once_and_no_message_is_lost(
    tmp_path, monkeypatch, impatient
):
    monkeypatch.setattr(server, "GRACE", 0.0)
    authority = Authority.create(tmp_path)
    authority.issue("here", participants=0, hosts=["127.0.0.1"])
    authority.issue("w1", participants=3)
    serials: list[tuple[str, int]] = []

    class Noting(VerifiedCallers):
        def identify(self, context):
            caller = super().identify(context)
            serials.append((caller.name, caller.proof.serial))
            return caller

    monkeypatch.setattr("fedsiege.services.identity.tls.VerifiedCallers", Noting)
    async with contextlib.AsyncExitStack() as stack:

        async def serve(servicer) -> str:
            add = (
                data_rpc.add_AggregatorServiceServicer_to_server
                if isinstance(servicer, Aggregator)
                else rpc.add_SimulatorServiceServicer_to_server
            )
            running = server.serving(
                "127.0.0.1:0", lambda one: add(servicer, one), [], tls=Tls(tmp_path / "here")
            )
            return f"127.0.0.1:{await stack.enter_async_context(running)}"

        place = Identity("w1", b"secret", tls=Tls(tmp_path / "w1", interval=0.01))
        async with at_work(Scene(serve), place) as scene:
            line = await scene.simulator.joined()
            scene.aggregator.hold_models = asyncio.Event()
            line.take_part(1)
            await asyncio.wait_for(scene.aggregator.asked_for_model.wait(), PATIENCE)
            old = {serial for _, serial in serials}
            new = authority.renew("w1").serial
            again = await scene.simulator.attached()
            scene.aggregator.hold_models.set()
            report = await again.hear("round_report")
            assert (report.round, report.submitted) == (1, 3), "the round it was in"
            again.join()
            await again.hear("joined")
            assert len(scene.participants.prepared) == 1, "the assignment is the same"
            before = len(serials)
            again.take_part(2)
            assert (await again.hear("round_report")).submitted == 3
            assert {serial for _, serial in serials[before:]} == {new}
            assert old == {authority.issued()[1].serial} != {new}


async def test_a_refusal_of_enrolment_is_reported(scene):
    scene.aggregator.enroll_error = Exhausted("FEDERATION_FULL", "room for 2")
    line = await scene.simulator.attached()
    line.join()
    failure = await line.hear("failure")
    assert failure.problem == "the aggregator refused: RESOURCE_EXHAUSTED: room for 2"
