"""Enrol further identities with a token that is already bound to an identity."""

import secrets

import grpc

from fedsiege.services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from fedsiege.v1 import aggregator_pb2 as pb


class TokenReuse(Intrusion):
    """Enrol further identities with a token that is already bound to an identity.

    The intruder has the tokens of its own participants, or takes a random one without. It aims at
    several identities for the price of one: it sends its tokens in turn, each time for a new
    identity. With tokens the aggregator refuses it with ``TOKEN_USED``, with certificates with
    ``FOREIGN_IDENTITY``.

    Source:
        FedSiege's own: see :doc:`/admission`.
    """

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
