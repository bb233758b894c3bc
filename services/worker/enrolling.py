"""Enrolment of a worker's participants: their identities and secrets, and refusals."""

import hmac
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import grpc

from fedsiege.services.errors import Refusal
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

log = logging.getLogger(__name__)

#: Identities enrolled in one call.
ENROLLMENTS_AT_ONCE = 5_000
#: Status codes of refusals that concern one identity; others may still be admitted.
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
    """Results of an enrolment.

    Attributes:
        memberships: the admitted identities with their indices.
        credentials: the secrets of the admitted participants, by participant index.
        refusals: the number of refused identities, by reason.
    """

    memberships: list[pb.Membership] = field(default_factory=list)
    credentials: dict[int, bytes] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Enroller:
    """Enrols participants under the name of one worker.

    A participant's identity is ``<worker>/<slot>``, the same in every federation.

    Args:
        worker: the name of the worker.
        secret: the secret from which the participants' secrets are derived.
        tokens: the enrolment token of each slot; empty if enrolment needs none.
        one_by_one: whether to go on without refused identities; otherwise one refusal fails all.
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
            aggregator: the aggregator's stub.
            federation_id: the federation.
            slots: the slot of each participant, by participant index.

        Returns:
            The admitted participants, and the refusals.

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
            reasons = dict(result.refusals)
            log.warning("%d of %d participants refused: %s", refused, len(slots), reasons)
        return result

    def _enrollment(self, federation_id: str, index: int, slot: int) -> pb.Enrollment:
        identity = f"{self.worker}/{slot}"
        return pb.Enrollment(
            identity=identity,
            # A different secret in every federation.
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
        """Enrol participants in one call; after a refusal one by one, if ``one_by_one`` is set."""
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
                    log.warning("enrolment refused: %s", refusal)
                result.refusals[reason] += 1
                return
            for one in wanted:
                await self._enroll(aggregator, federation_id, [one], result)
        else:
            result.memberships.extend(response.memberships)
            result.credentials.update({one.participant_index: one.credential for one in wanted})
