"""Who takes part in a federation: identities, the secrets they are bound to, their indices."""

import hashlib
import heapq
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedsiege.v1 import aggregator_pb2 as pb
from services.errors import Duplicate, Exhausted, Malformed, NotFound, Unauthenticated

IDENTITY_LENGTH = 200
CREDENTIAL_BYTES = range(16, 65)
ENROLLMENTS_AT_ONCE = 10_000


@dataclass
class Participant:
    """One enrolled identity.

    Attributes:
        index: the row order in every round.
        digest: SHA-256 of the secret, so that a memory dump of the server betrays none.
        enrolled_at: seconds since 1970.
        accepted: updates that had weight, over all rounds.
        rejected: updates refused at the door, over all rounds.
    """

    index: int
    identity: str
    digest: bytes
    enrolled_at: float
    accepted: int = 0
    rejected: int = 0


class Participants:
    """The roll of a federation.

    Args:
        capacity: how many may enrol; indices run from 0 to ``capacity - 1``.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._by_index: dict[int, Participant] = {}
        self._by_identity: dict[str, Participant] = {}
        self._lowest_free = 0

    def __len__(self) -> int:
        return len(self._by_index)

    def __contains__(self, index: int) -> bool:
        return index in self._by_index

    def __getitem__(self, index: int) -> Participant:
        return self._by_index[index]

    def indices(self) -> list[int]:
        """All indices, ascending."""
        return sorted(self._by_index)

    def page(self, after: int, size: int) -> list[Participant]:
        """Return up to ``size`` participants with an index above ``after``, ascending."""
        following = (index for index in self._by_index if index > after)
        return [self._by_index[index] for index in heapq.nsmallest(size, following)]

    def enroll(
        self,
        enrollments: Sequence[pb.Enrollment],
        *,
        identities_proved: bool = False,
        permit: Callable[[int], None] = lambda _: None,
    ) -> list[Participant]:
        """Enrol all of them or, if one cannot be, none.

        An identity that shows the secret it is bound to gets its index again.

        Args:
            enrollments: who; ``check_request`` says how many, and which names may be.
            identities_proved: whether somebody else has proved the identities, so that no secret is needed.
            permit: asked last, with the number of newcomers, before anything counts; may refuse.

        Raises:
            Malformed, Duplicate, Exhausted, Unauthenticated: which one cannot be enrolled, and why.
        """
        check_request(enrollments)
        fresh: dict[str, Participant] = {}
        taken: set[int] = set()
        answer = []
        free = self._lowest_free
        for wanted in enrollments:
            known = self._by_identity.get(wanted.identity) or fresh.get(wanted.identity)
            if known is not None:
                if not identities_proved:
                    check_credential(known, wanted.credential)
                if wanted.HasField("participant_index") and (
                    wanted.participant_index != known.index
                ):
                    raise Duplicate(
                        "IDENTITY_ENROLLED",
                        f"identity {wanted.identity!r} has index {known.index} already and cannot "
                        f"have {wanted.participant_index} as well",
                    )
                answer.append(known)
                continue
            if not identities_proved:
                _check_length(wanted)
            if wanted.HasField("participant_index"):
                index = wanted.participant_index
            else:
                while free in self._by_index or free in taken:
                    free += 1
                index = free
            self._check_index(index, taken)
            digest = hashlib.sha256(wanted.credential).digest()
            participant = Participant(index, wanted.identity, digest, time.time())
            fresh[wanted.identity] = participant
            taken.add(index)
            answer.append(participant)
        permit(len(fresh))
        for participant in fresh.values():
            self._by_index[participant.index] = participant
            self._by_identity[participant.identity] = participant
        self._lowest_free = free
        return answer

    def _check_index(self, index: int, taken: set[int]) -> None:
        if index >= self.capacity:
            raise Exhausted(
                "FEDERATION_FULL",
                f"index {index} is not to be had: this federation has room for {self.capacity}",
            )
        if index in self._by_index or index in taken:
            raise Duplicate("INDEX_TAKEN", f"index {index} belongs to somebody else")

    def find(self, index: int) -> Participant:
        """Return the participant of that index.

        Raises:
            NotFound: nobody has that index.
        """
        participant = self._by_index.get(index)
        if participant is None:
            raise NotFound("UNKNOWN_PARTICIPANT", f"nobody has enrolled with index {index}")
        return participant


def check_request(enrollments: Sequence[pb.Enrollment]) -> None:
    """Check what any request to enrol must hold to, whoever it comes from.

    Raises:
        Malformed: there are none or too many, or a name cannot be.
    """
    if not 1 <= len(enrollments) <= ENROLLMENTS_AT_ONCE:
        raise Malformed(
            "INVALID_VALUE",
            f"{len(enrollments)} enrollments in one request; 1 to {ENROLLMENTS_AT_ONCE} may be",
        )
    for wanted in enrollments:
        identity = wanted.identity
        if not 1 <= len(identity) <= IDENTITY_LENGTH or not identity.isprintable():
            raise Malformed(
                "INVALID_VALUE",
                f"identity {identity[:IDENTITY_LENGTH]!r}: 1 to {IDENTITY_LENGTH} printable "
                "characters",
            )


def check_credential(participant: Participant, credential: bytes) -> None:
    """Check that a credential is the one that a participant enrolled with.

    Raises:
        Unauthenticated: it is another one.
    """
    shown = hashlib.sha256(credential).digest()
    if not hmac.compare_digest(participant.digest, shown):
        raise Unauthenticated(
            "WRONG_CREDENTIAL",
            f"the credential is not the one that participant {participant.index} enrolled with",
        )


def _check_length(wanted: pb.Enrollment) -> None:
    if len(wanted.credential) not in CREDENTIAL_BYTES:
        raise Malformed(
            "INVALID_VALUE",
            f"the credential of {wanted.identity!r} has {len(wanted.credential)} bytes; "
            f"{CREDENTIAL_BYTES.start} to {CREDENTIAL_BYTES.stop - 1} are allowed",
        )
