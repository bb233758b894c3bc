"""The attacker's worker: beside sending updates it tries to get in by other ways."""

import asyncio
import logging
import time
from collections.abc import Mapping

from fedsiege.experiment import intrusions
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb
from services.attacker.intrusions import WAYS, Foothold
from services.attacker.intrusions.replay import Double
from services.worker.submitting import Sender, Update
from services.worker.worker import Assignment, Worker

log = logging.getLogger(__name__)

#: Others' participants that are looked up, to send in their name.
_OTHERS = 1_000


class Intruder(Worker):
    """Tries the ways to get in that an experiment asks for, beside its first round."""

    _intruding: "asyncio.Task[None] | None" = None
    _tried: frozenset[str] = frozenset()
    #: Participants whose updates were taken in while an experiment is intruded upon.
    _taken_in: "asyncio.Future[list[int]] | None" = None

    async def _take_part(self, assignment: Assignment, order: pb.TakePart) -> None:
        experiment = assignment.join.experiment_id
        begins = bool(order.participant_indices) and experiment not in self._tried
        if not assignment.join.attack.intrusions or not begins:
            await super()._take_part(assignment, order)
            return
        self._tried |= {experiment}
        taken_in = self._taken_in = asyncio.get_running_loop().create_future()
        self._intruding = asyncio.create_task(
            self._do(assignment, self._intrude(assignment, order, taken_in))
        )
        try:
            await super()._take_part(assignment, order)
        finally:
            if not taken_in.done():  # no block was taken in whole
                taken_in.set_result([])

    async def _submit(
        self, sender: Sender, report: pb.RoundReport, block: list[Update], deadline: float
    ) -> None:
        refused = report.refused
        await super()._submit(sender, report, block, deadline)
        taken_in = self._taken_in
        if taken_in is not None and not taken_in.done() and report.refused == refused:
            taken_in.set_result([update.index for update in block])

    async def _intrude(
        self, assignment: Assignment, order: pb.TakePart, taken_in: "asyncio.Future[list[int]]"
    ) -> None:
        """Try one way after the other, but double beside them: only an open round tells anything.

        What came of each is reported as soon as it is known.
        """
        foothold = Foothold(
            aggregator=self._data,
            address=self._aggregator,
            name=self._hello.worker,
            federation_id=assignment.join.federation_id,
            round=order.round,
            size=assignment.participants.size,
            credentials=dict(assignment.credentials),
            others=await self._others(assignment),
            tokens=self._identity.tokens,
            patience=order.deadline.ToTimedelta().total_seconds(),
            taken_in=taken_in,
            certificates=self._identity.tls.folder if self._identity.tls else None,
        )
        wanted = intrusions.parse(assignment.join.attack.intrusions)
        beside = {name: wanted.pop(name) for name in [Double.name] if name in wanted}
        await asyncio.gather(*(self._try(assignment, foothold, some) for some in (beside, wanted)))

    async def _try(
        self, assignment: Assignment, foothold: Foothold, wanted: Mapping[str, int]
    ) -> None:
        """Try some ways, one after the other."""
        for name, count in wanted.items():
            started = time.perf_counter()
            attempts = await WAYS[name].attempt(foothold, count)
            seconds = time.perf_counter() - started
            log.info("%s: %d of %d, %.2f s", name, attempts.succeeded, attempts.tried, seconds)
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
        """Return participants that are somebody else's: anyone may list them."""
        request = data_pb.ListParticipantsRequest(
            federation_id=assignment.join.federation_id, page_size=_OTHERS
        )
        listed = await self._data.ListParticipants(request)
        own = assignment.credentials
        found = (someone.participant_index for someone in listed.participants)
        return [index for index in found if index not in own]
