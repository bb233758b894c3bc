"""Do what only the control plane may: create federations, open rounds."""

from collections.abc import Awaitable, Callable

import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from services.attacker.intrusions.base import Attempts, Foothold, Intrusion


class Control(Intrusion):
    """Creates a federation of its own, and tries to open a round of the one it is in."""

    name = "control"

    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Try both, so many times. What it creates is closed again; the round is one to come."""
        for _ in range(count):
            await self._try(attempts, lambda: self._create(foothold))
            await self._try(attempts, lambda: self._open(foothold))

    @staticmethod
    async def _try(attempts: Attempts, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
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
