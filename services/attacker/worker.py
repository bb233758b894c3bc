"""The attacker's worker: it hosts hostile participants and carries out intrusions."""

import asyncio
import logging
import time
from collections.abc import Mapping

from fedsiege.experiment import intrusions
from fedsiege.services.attacker.intrusions import IMPLEMENTATIONS, IntrusionContext
from fedsiege.services.attacker.intrusions.replay import DoubleUpdate
from fedsiege.services.worker.submitting import Sender, Update
from fedsiege.services.worker.worker import Assignment, Worker
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb

log = logging.getLogger(__name__)

#: The most participants that are listed, in order to send updates in their name.
_LISTED = 1_000


class AttackerWorker(Worker):
    """A worker that also carries out the intrusions of an experiment, during its first round."""

    _intruding: "asyncio.Task[None] | None" = None
    #: Experiments whose intrusions have begun.
    _intruded: frozenset[str] = frozenset()
    #: Participants of this worker whose updates the aggregator accepted in that round.
    _accepted: "asyncio.Future[list[int]] | None" = None

    async def _take_part(self, assignment: Assignment, order: pb.TakePart) -> None:
        experiment = assignment.join.experiment_id
        begins = bool(order.participant_indices) and experiment not in self._intruded
        if not assignment.join.attack.intrusions or not begins:
            await super()._take_part(assignment, order)
            return
        self._intruded |= {experiment}
        accepted = self._accepted = asyncio.get_running_loop().create_future()
        self._intruding = asyncio.create_task(
            self._run_task(assignment, self._intrude(assignment, order, accepted))
        )
        try:
            await super()._take_part(assignment, order)
        finally:
            if not accepted.done():  # every block had a refused update
                accepted.set_result([])

    async def _submit(
        self, sender: Sender, report: pb.RoundReport, block: list[Update], deadline: float
    ) -> None:
        refused = report.refused
        await super()._submit(sender, report, block, deadline)
        accepted = self._accepted
        if accepted is not None and not accepted.done() and report.refused == refused:
            accepted.set_result([update.index for update in block])

    async def _intrude(
        self, assignment: Assignment, order: pb.TakePart, accepted: "asyncio.Future[list[int]]"
    ) -> None:
        """Try the intrusions one after the other, and report each result at once.

        ``double`` runs beside the others, because it is meaningful only while the round is open.
        """
        context = IntrusionContext(
            aggregator=self._data,
            address=self._aggregator,
            name=self._hello.worker,
            federation_id=assignment.join.federation_id,
            round=order.round,
            size=assignment.participants.size,
            credentials=dict(assignment.credentials),
            others=await self._others(assignment),
            tokens=self._identity.tokens,
            time_limit=order.deadline.ToTimedelta().total_seconds(),
            accepted=accepted,
            certificates=self._identity.tls.folder if self._identity.tls else None,
        )
        wanted = intrusions.parse(assignment.join.attack.intrusions)
        beside = {name: wanted.pop(name) for name in [DoubleUpdate.name] if name in wanted}
        await asyncio.gather(*(self._try(assignment, context, some) for some in (beside, wanted)))

    async def _try(
        self,
        assignment: Assignment,
        context: IntrusionContext,
        wanted: Mapping[str, int],
    ) -> None:
        """Try intrusions one after the other: by name, how often each is to be tried."""
        for name, count in wanted.items():
            started = time.perf_counter()
            attempts = await IMPLEMENTATIONS[name].attempt(context, count)
            seconds = time.perf_counter() - started
            log.info(
                "intrusion %s: %d of %d succeeded, %.2f s",
                name,
                attempts.succeeded,
                attempts.tried,
                seconds,
            )
            report = pb.IntrusionReport(
                experiment_id=assignment.join.experiment_id,
                intrusion=name,
                tried=attempts.tried,
                succeeded=attempts.succeeded,
                refusals=attempts.refusals,
                seconds=seconds,
            )
            self._outbox.put_nowait(pb.AttachRequest(intrusion=report))

    async def _others(self, assignment: Assignment) -> list[int]:
        """Return the indices of participants of other workers, which every caller may list."""
        request = data_pb.ListParticipantsRequest(
            federation_id=assignment.join.federation_id, page_size=_LISTED
        )
        listed = await self._data.ListParticipants(request)
        own = assignment.credentials
        found = (one.participant_index for one in listed.participants)
        return [index for index in found if index not in own]
