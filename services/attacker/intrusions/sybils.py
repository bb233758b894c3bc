"""Enrol as many made-up identities as possible, as the fake clients of MPAF must."""

import secrets

import grpc

from fedsiege.services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from fedsiege.v1 import aggregator_pb2 as pb

#: Identities in one call. When a call is refused, the rest are tried one by one.
_AT_ONCE = 500


class Sybils(Intrusion):
    """Enrol as many made-up identities as possible, as the fake clients of MPAF must.

    The intruder has what any participant has. It aims at many participants where it is entitled to
    few. Each identity has a random name, secret and token. It enrols them in calls of 500 until one
    is refused, then one identity a call, so that each is counted. With tokens the aggregator
    refuses them with ``UNKNOWN_TOKEN``, with certificates with ``FOREIGN_IDENTITY``; without
    admission all are enrolled.

    Source:
        John R. Douceur, `The Sybil Attack <https://doi.org/10.1007/3-540-45748-8_24>`_, IPTPS 2002.
        What an identity costs here: :doc:`/admission`.
    """

    name = "sybils"

    async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
        """Enrol in large calls until one is refused, then one identity a call."""
        together = True
        while attempts.tried < count:
            some = min(_AT_ONCE, count - attempts.tried) if together else 1
            request = pb.EnrollRequest(federation_id=context.federation_id)
            for _ in range(some):
                number = secrets.token_hex(8)
                request.enrollments.add(
                    identity=f"sybil-{number}/0",
                    credential=secrets.token_bytes(32),
                    token=secrets.token_urlsafe(32),
                )
            try:
                await context.aggregator.Enroll(request)
            except grpc.aio.AioRpcError as error:
                if together and some > 1:
                    together = False
                else:
                    attempts.refused(error)
            else:
                attempts.passed(some)
