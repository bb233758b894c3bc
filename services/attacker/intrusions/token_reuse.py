"""Enrol further identities with a token that is bound to one already."""

import secrets

import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from services.attacker.intrusions.base import Attempts, Foothold, Intrusion


class TokenReuse(Intrusion):
    """Shows its own token again for identities that it does not belong to."""

    name = "token-reuse"

    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Enrol one identity after the other; without a token of its own it makes one up."""
        for number in range(count):
            tokens = foothold.tokens or [secrets.token_urlsafe(32)]
            request = pb.EnrollRequest(federation_id=foothold.federation_id)
            request.enrollments.add(
                identity=f"{foothold.name}-again-{number}/0",
                credential=secrets.token_bytes(32),
                token=tokens[number % len(tokens)],
            )
            try:
                await foothold.aggregator.Enroll(request)
            except grpc.aio.AioRpcError as error:
                attempts.refused(error)
            else:
                attempts.passed()
