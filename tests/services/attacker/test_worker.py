"""The attacker's worker carries out intrusions without any effect on its attack."""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from fedsiege.services.attacker.worker import AttackerWorker
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.worker.submitting import Update
from fedsiege.services.worker.worker import Assignment, HostedParticipants
from fedsiege.v1 import simulator_pb2 as pb
from tests.services.conftest import NET, Federation, credential


class SlowParticipants(HostedParticipants):
    """Computes so slowly that an intrusion could submit an update first."""

    size = NET

    def prepare(self, join: pb.Join) -> str:
        return "slowly"

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        time.sleep(0.5)
        yield [Update(index, np.ones(NET, np.float32), 1, 1) for index in indices]


async def take_part(federation: Federation) -> dict[str, pb.AttachRequest]:
    """Play round 1 as participant 4 of an attacker that tries ``double``; return its reports."""
    worker = AttackerWorker(pb.Hello(worker="attacker"), SlowParticipants, "", "")
    worker._data = federation.data_plane
    join = pb.Join(experiment_id="e", federation_id=federation.id)
    join.attack.intrusions = "double"
    assignment = Assignment(join, SlowParticipants(), credentials={4: credential(4)})
    order = pb.TakePart(experiment_id="e", round=1, participant_indices=[4])
    order.deadline.FromSeconds(10)
    await worker._take_part(assignment, order)
    assert worker._intruding is not None
    await worker._intruding
    sent = [worker._outbox.get_nowait() for _ in range(worker._outbox.qsize())]
    return {message.WhichOneof("message"): message for message in sent}


async def test_double_does_not_overtake_the_attack(federation: Federation) -> None:
    reports = await take_part(federation)
    assert (
        reports["round_report"].round_report.submitted,
        reports["intrusion"].intrusion.tried,
    ) == (
        1,
        1,
    )
    assert reports["intrusion"].intrusion.refusals == {"DUPLICATE_UPDATE": 1}


async def test_double_tries_nothing_where_the_attack_was_refused(federation: Federation) -> None:
    await federation.submit(4, np.zeros(NET, np.float32))
    reports = await take_part(federation)
    assert reports["round_report"].round_report.refused == 1
    assert reports["intrusion"].intrusion.tried == 0
