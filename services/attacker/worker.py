"""The attacker's worker: beside sending updates it tries to get in by other ways."""

import asyncio
import logging
import time

from fedsiege import intrusions
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb
from services.attacker.intrusions import WAYS, Foothold
from services.wire.worker import Post, Worker

log = logging.getLogger(__name__)

#: Others' participants that are looked up, to send in their name.
_OTHERS = 1_000


class Intruder(Worker):
    """Tries the ways to get in that an experiment asks for, beside its first round."""

    _intruding: "asyncio.Task[None] | None" = None
    _tried: frozenset[str] = frozenset()

    async def _take_part(self, post: Post, order: pb.TakePart) -> None:
        experiment = post.join.experiment_id
        begins = bool(order.participant_indices) and experiment not in self._tried
        if post.join.attack.intrusions and begins:
            self._tried |= {experiment}
            self._intruding = asyncio.create_task(self._do(post, self._intrude(post, order)))
        await super()._take_part(post, order)

    async def _intrude(self, post: Post, order: pb.TakePart) -> None:
        """Try one way after the other, and report each as soon as it is known."""
        foothold = Foothold(
            aggregator=self._data,
            address=self._aggregator,
            name=self._hello.worker,
            federation_id=post.join.federation_id,
            round=order.round,
            size=post.crew.size,
            credentials=dict(post.credentials),
            others=await self._others(post),
            tokens=self._place.tokens,
            patience=order.deadline.ToTimedelta().total_seconds(),
            certificates=self._place.tls.folder if self._place.tls else None,
        )
        for name, count in intrusions.parse(post.join.attack.intrusions).items():
            started = time.perf_counter()
            attempts = await WAYS[name].attempt(foothold, count)
            seconds = time.perf_counter() - started
            log.info("%s: %d of %d, %.2f s", name, attempts.succeeded, attempts.tried, seconds)
            report = pb.IntrusionReport(
                experiment_id=post.join.experiment_id,
                intrusion=name,
                tried=attempts.tried,
                succeeded=attempts.succeeded,
                refusals=attempts.refusals,
                seconds=seconds,
            )
            self._outbox.put_nowait(pb.AttachRequest(intrusion=report))

    async def _others(self, post: Post) -> list[int]:
        """Return participants that are somebody else's: anyone may list them."""
        request = data_pb.ListParticipantsRequest(
            federation_id=post.join.federation_id, page_size=_OTHERS
        )
        listed = await self._data.ListParticipants(request)
        own = post.credentials
        found = (someone.participant_index for someone in listed.participants)
        return [index for index in found if index not in own]
