"""Enrolling a worker's participants: which identities they have, and what to do about refusals."""

import hmac
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.errors import Refusal

log = logging.getLogger(__name__)

#: Identities enrolled in one call.
ENROLLMENTS_AT_ONCE = 5_000
#: Refusals that concern an identity, so that others may still be let in.
_PER_IDENTITY = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


@dataclass
class Enrolled:
    """What came of an enrolment.

    Attributes:
        memberships: who is in.
        credentials: the secret of each who is in, by participant index.
        refusals: how often each reason for keeping one out was given.
    """

    memberships: list[pb.Membership] = field(default_factory=list)
    credentials: dict[int, bytes] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Enroller:
    """Enrols participants under the name of one worker.

    A participant's identity is ``<worker>/<slot>``: the same in every federation.

    Args:
        worker: the name.
        secret: what credentials are derived from.
        tokens: the enrolment token of each slot; none where enrolment asks for none.
        one_by_one: whether those that are refused are left out; else one keeps out all.
    """

    worker: str
    secret: bytes = field(repr=False)
    tokens: Sequence[str] = field(default=(), repr=False)
    one_by_one: bool = False

    async def enroll(
        self,
        aggregator: "rpc.AggregatorServiceAsyncStub",
        federation_id: str,
        slots: Mapping[int, int],
    ) -> Enrolled:
        """Enrol participants.

        Args:
            aggregator: the data plane.
            federation_id: in which federation.
            slots: the slot of each participant index.

        Raises:
            grpc.aio.AioRpcError: the aggregator refused, or cannot be reached.
        """
        wanted = [self._enrollment(federation_id, *one) for one in slots.items()]
        result = Enrolled()
        if self.one_by_one and 0 < len(self.tokens) < len(slots):
            result.refusals["TOKEN_MISSING"] = sum(not one.token for one in wanted)
            wanted = [one for one in wanted if one.token]
        for start in range(0, len(wanted), ENROLLMENTS_AT_ONCE):
            await self._enroll(
                aggregator, federation_id, wanted[start : start + ENROLLMENTS_AT_ONCE], result
            )
        if refused := result.refusals.total():
            log.warning("%d of %d were not let in: %s", refused, len(slots), dict(result.refusals))
        return result

    def _enrollment(self, federation_id: str, index: int, slot: int) -> pb.Enrollment:
        identity = f"{self.worker}/{slot}"
        return pb.Enrollment(
            identity=identity,
            # No two federations see the same secret.
            credential=hmac.digest(self.secret, f"{federation_id}\n{identity}".encode(), "sha256"),
            participant_index=index,
            token=self.tokens[slot] if slot < len(self.tokens) else "",
        )

    async def _enroll(
        self,
        aggregator: "rpc.AggregatorServiceAsyncStub",
        federation_id: str,
        wanted: Sequence[pb.Enrollment],
        result: Enrolled,
    ) -> None:
        """Enrol some in one call; one by one, if they may be and not all are let in."""
        request = pb.EnrollRequest(federation_id=federation_id, enrollments=wanted)
        try:
            response = await aggregator.Enroll(request, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if not self.one_by_one or error.code() not in _PER_IDENTITY:
                raise
            refusal = Refusal.of(error)
            if len(wanted) == 1:
                reason = refusal.reason or refusal.code.name
                if reason not in result.refusals:
                    log.warning("not let in: %s", refusal)
                result.refusals[reason] += 1
                return
            for one in wanted:
                await self._enroll(aggregator, federation_id, [one], result)
        else:
            result.memberships.extend(response.memberships)
            result.credentials.update({one.participant_index: one.credential for one in wanted})
