"""Enrolled participants of a federation: identities, indices, and digests of their secrets."""

import hashlib
import heapq
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedsiege.services.errors import (
    Duplicate,
    Exhausted,
    Malformed,
    NotFound,
    Unauthenticated,
    WrongState,
)
from fedsiege.v1 import aggregator_pb2 as pb

IDENTITY_LENGTH = 200
CREDENTIAL_BYTES = range(16, 65)
ENROLLMENTS_AT_ONCE = 10_000


@dataclass
class Participant:
    """One enrolled identity.

    Attributes:
        index: the participant index, which orders the rows of every round.
        identity: the name that it enrolled with.
        digest: SHA-256 of its secret, so that the server's memory holds no secrets.
        enrolled_at: Unix time in seconds.
        accepted: updates with weight in an aggregation, over all rounds.
        rejected: updates that validation refused, over all rounds.
    """

    index: int
    identity: str
    digest: bytes
    enrolled_at: float
    accepted: int = 0
    rejected: int = 0


class Participants:
    """The enrolled participants of a federation, by index and by identity.

    Args:
        capacity: the largest number of participants; indices run from 0 to ``capacity - 1``.
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
        """Return all indices, ascending."""
        return sorted(self._by_index)

    def schedule(self, indices: Sequence[int]) -> list[int]:
        """Return the participants of a round, ascending: those given, or all if none are given.

        Raises:
            WrongState: no participant has enrolled.
            Duplicate: an index is given twice.
            NotFound: no participant has an index.
        """
        scheduled = sorted(indices) if indices else self.indices()
        if not scheduled:
            raise WrongState("NO_PARTICIPANTS", "no participant has enrolled")
        for before, index in zip([-1, *scheduled], scheduled, strict=False):
            if index == before:
                raise Duplicate("DUPLICATE_INDEX", f"participant {index} is scheduled twice")
            self.find(index)
        return scheduled

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
        """Enrol identities: all of them or, if one is refused, none.

        An identity that is enrolled already, and shows its secret, gets its index again.

        Args:
            enrollments: the identities; ``check_request`` checks their number and names.
            identities_proved: whether certificates have proved the identities; secrets are then
                not checked.
            permit: called last, with the number of new identities; raises to refuse them.

        Returns:
            The participants in the order of ``enrollments``.

        Raises:
            Malformed: the number, a name or the length of a secret is out of range.
            Duplicate: an index is taken, or an identity has another index.
            Exhausted: an index exceeds the capacity, or ``permit`` refuses.
            Unauthenticated: an identity shows another secret than it enrolled with.
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
                        f"identity {wanted.identity!r} has index {known.index} already; it cannot "
                        f"have index {wanted.participant_index}",
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
                f"index {index} exceeds this federation's capacity of {self.capacity}",
            )
        if index in self._by_index or index in taken:
            raise Duplicate("INDEX_TAKEN", f"index {index} belongs to another identity")

    def find(self, index: int) -> Participant:
        """Return the participant of an index.

        Raises:
            NotFound: no participant has the index.
        """
        participant = self._by_index.get(index)
        if participant is None:
            raise NotFound("UNKNOWN_PARTICIPANT", f"no participant has index {index}")
        return participant


def check_request(enrollments: Sequence[pb.Enrollment]) -> None:
    """Check the number and the names of the identities in a request.

    Raises:
        Malformed: there are none or too many, or a name is too long or not printable.
    """
    if not 1 <= len(enrollments) <= ENROLLMENTS_AT_ONCE:
        raise Malformed(
            "INVALID_VALUE",
            f"{len(enrollments)} enrollments in one request; must be 1 to {ENROLLMENTS_AT_ONCE}",
        )
    for wanted in enrollments:
        identity = wanted.identity
        if not 1 <= len(identity) <= IDENTITY_LENGTH or not identity.isprintable():
            raise Malformed(
                "INVALID_VALUE",
                f"identity {identity[:IDENTITY_LENGTH]!r} must have 1 to {IDENTITY_LENGTH} "
                "printable characters",
            )


def check_credential(participant: Participant, credential: bytes) -> None:
    """Check that a secret is the one that a participant enrolled with.

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
