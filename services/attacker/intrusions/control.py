"""Make calls that are for the control plane only: create federations, open rounds."""

from collections.abc import Awaitable, Callable

import grpc

from fedsiege.services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from fedsiege.services.errors import Refusal
from fedsiege.v1 import aggregator_pb2 as pb

#: Reasons for which the operator would be refused too: they do not depend on the caller.
_UNTIMELY = frozenset({"ROUND_OPEN", "WRONG_ROUND"})


class Control(Intrusion):
    """Make calls that are for the control plane only: create a federation, open a round.

    The intruder has what any participant has. It aims at the role of the operator. One attempt is
    two calls: it creates a federation of its own, which it closes again, and it opens the current
    round of the federation under attack, since opening the next one would spoil the experiment. A
    refusal only because that round is open or closed already counts as a success: with the next
    round the call would have succeeded.

    With certificates the aggregator refuses both with ``CONTROL_ONLY``; without, every caller that
    reaches it may make them.

    Source:
        FedSiege's own: see :doc:`/admission`.
    """

    name = "control"

    async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
        """Try both calls ``count`` times, without any effect on the experiment.

        The new federation is closed again. The round to open is the current one, since opening the
        next one would spoil the experiment. A refusal only because that round is open or closed
        already counts as a success: with the next round the call would have succeeded.
        """
        for _ in range(count):
            await self._try(attempts, lambda: self._create(context))
            await self._try(attempts, lambda: self._open(context))

    @staticmethod
    async def _try(attempts: Attempts, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            if Refusal.of(error).reason in _UNTIMELY:
                attempts.passed()
            else:
                attempts.refused(error)
        else:
            attempts.passed()

    @staticmethod
    async def _create(context: IntrusionContext) -> None:
        spec = pb.FederationSpec(name="intruder", model="net", dataset="digits", rule="fedavg")
        created = await context.aggregator.CreateFederation(pb.CreateFederationRequest(spec=spec))
        close = pb.CloseFederationRequest(federation_id=created.federation.federation_id)
        await context.aggregator.CloseFederation(close)

    @staticmethod
    async def _open(context: IntrusionContext) -> None:
        request = pb.OpenRoundRequest(
            federation_id=context.federation_id, round=context.round, threshold=1
        )
        request.deadline.FromSeconds(1)
        await context.aggregator.OpenRound(request)
