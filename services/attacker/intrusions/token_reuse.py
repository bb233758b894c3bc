"""Enrol further identities with a token that is already bound to an identity."""

import secrets

import grpc

from fedsiege.services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from fedsiege.v1 import aggregator_pb2 as pb


class TokenReuse(Intrusion):
    """Sends its own tokens again, for new identities."""

    name = "token-reuse"

    async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
        """Enrol one identity after the other; without a token of its own, with a random one."""
        for number in range(count):
            tokens = context.tokens or [secrets.token_urlsafe(32)]
            request = pb.EnrollRequest(federation_id=context.federation_id)
            request.enrollments.add(
                identity=f"{context.name}-again-{number}/0",
                credential=secrets.token_bytes(32),
                token=tokens[number % len(tokens)],
            )
            try:
                await context.aggregator.Enroll(request)
            except grpc.aio.AioRpcError as error:
                attempts.refused(error)
            else:
                attempts.passed()
