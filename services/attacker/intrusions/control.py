"""Do what only the control plane may: create federations, open rounds."""

from collections.abc import Awaitable, Callable

import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from services.attacker.intrusions.base import Attempts, Foothold, Intrusion
from services.errors import Refusal

#: Refusals that the operator, too, would get: they say nothing of who asks.
_UNTIMELY = frozenset({"ROUND_OPEN", "WRONG_ROUND"})


class Control(Intrusion):
    """Creates a federation of its own, and tries to open a round of the one it is in."""

    name = "control"

    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Try both, so many times, and leave nothing behind.

        What it creates is closed again. The round is one that is open or over, for one to come
        would be the end of the honest experiment; a refusal for that alone is the answer that the
        operator would get, so it counts as a success: at the right moment it would have opened.
        """
        for _ in range(count):
            await self._try(attempts, lambda: self._create(foothold))
            await self._try(attempts, lambda: self._open(foothold))

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
    async def _create(foothold: Foothold) -> None:
        spec = pb.FederationSpec(name="intruder", model="net", dataset="digits", rule="fedavg")
        created = await foothold.aggregator.CreateFederation(pb.CreateFederationRequest(spec=spec))
        close = pb.CloseFederationRequest(federation_id=created.federation.federation_id)
        await foothold.aggregator.CloseFederation(close)

    @staticmethod
    async def _open(foothold: Foothold) -> None:
        request = pb.OpenRoundRequest(
            federation_id=foothold.federation_id, round=foothold.round, threshold=1
        )
        request.deadline.FromSeconds(1)
        await foothold.aggregator.OpenRound(request)
