"""Enrol identities, as many as one can: the fake clients of MPAF before they send anything."""

import secrets

import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from services.attacker.intrusions.base import Attempts, Foothold, Intrusion

#: Identities in one call; refused together, they are tried one by one.
_AT_ONCE = 500


class Sybils(Intrusion):
    """Makes identities up and enrols them."""

    name = "sybils"

    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Enrol in large calls while these succeed, then each by itself."""
        together = True
        while attempts.tried < count:
            some = min(_AT_ONCE, count - attempts.tried) if together else 1
            request = pb.EnrollRequest(federation_id=foothold.federation_id)
            for _ in range(some):
                number = secrets.token_hex(8)
                request.enrollments.add(
                    identity=f"sybil-{number}/0",
                    credential=secrets.token_bytes(32),
                    token=secrets.token_urlsafe(32),
                )
            try:
                await foothold.aggregator.Enroll(request)
            except grpc.aio.AioRpcError as error:
                if together and some > 1:
                    together = False
                else:
                    attempts.refused(error)
            else:
                attempts.passed(some)
