"""What an aggregator asks of who wants to take part: nothing, a token, or a certificate.

In every mode one identity is one participant, which sends one update a round and keeps its index.
The modes differ in what an identity costs: nothing; a token that somebody issued; a certificate
that an authority signed.
"""

import abc
import asyncio
import math
from collections.abc import Sequence
from typing import ClassVar

from fedsiege.v1 import aggregator_pb2 as pb
from services.aggregator.participants import Participant, check_credential
from services.errors import Forbidden, Unauthenticated
from services.identity.callers import Caller
from services.identity.ledger import Ledger, revoked_token

#: Seconds after which it is looked up again whose tokens have been revoked.
REVOCATION_REFRESH = 0.5
#: Digits of a slot that are looked at; no certificate is for that many participants.
_LONGEST_SLOT = 10


class Admission(abc.ABC):
    """Decides who may take part. One for all federations of an aggregator."""

    #: As in a federation's specification.
    name: ClassVar[str]
    #: Whether it proves identities by itself, so that participants need no secrets.
    proves_identity: ClassVar[bool] = False

    @abc.abstractmethod
    async def admit(self, enrollments: Sequence[pb.Enrollment], caller: Caller) -> None:
        """Let all of these identities enrol, or none.

        Raises:
            Unauthenticated, Forbidden: which one may not, and why.
        """

    def authenticate(self, participant: Participant, credential: bytes, caller: Caller) -> None:
        """Check that a caller speaks for a participant.

        Raises:
            Unauthenticated, Forbidden: it does not.
        """
        check_credential(participant, credential)

    async def check(self, participant: Participant) -> None:
        """Check that a participant, known to be itself, may still take part.

        Raises:
            Forbidden: it may not any more.
        """
        return


class Open(Admission):
    """Whoever comes may take part, as often as he likes: the threat model of MPAF."""

    name = "open"

    async def admit(self, enrollments: Sequence[pb.Enrollment], caller: Caller) -> None:
        """Let everyone in."""


class ByToken(Admission):
    """Every identity needs a token of its own, which nobody else can use afterwards.

    Args:
        ledger: which tokens there are.
    """

    name = "token"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._revoked: frozenset[str] = frozenset()
        self._refreshed_at = -math.inf

    async def admit(self, enrollments: Sequence[pb.Enrollment], caller: Caller) -> None:
        """Bind each identity to its token."""
        tokens = {one.identity: one.token for one in enrollments}
        await asyncio.to_thread(self._ledger.redeem, tokens)

    async def check(self, participant: Participant) -> None:
        """Refuse whose token was revoked, at most a second after it was."""
        now = asyncio.get_running_loop().time()
        if now - self._refreshed_at >= REVOCATION_REFRESH:
            self._refreshed_at = now
            self._revoked = await asyncio.to_thread(self._ledger.revoked_identities)
        if participant.identity in self._revoked:
            raise revoked_token(participant.identity)


class ByCertificate(Admission):
    """Identities are ``<name in the certificate>/<slot>``, as many as the certificate proves_identity for.

    The certificate proves them at every call. So the secret does not matter, and neither a key that
    is replaced nor a secret that is lost costs a participant its place.
    """

    name = "mtls"
    proves_identity = True

    async def admit(self, enrollments: Sequence[pb.Enrollment], caller: Caller) -> None:
        """Let in who is the caller's."""
        for one in enrollments:
            _check_owner(one.identity, caller)

    def authenticate(self, participant: Participant, credential: bytes, caller: Caller) -> None:
        """Check that the participant is the caller's."""
        _check_owner(participant.identity, caller)


def _check_owner(identity: str, caller: Caller) -> None:
    if not caller.verified:
        raise Unauthenticated("NO_CERTIFICATE", "no certificate proves who calls")
    name, _, slot = identity.rpartition("/")
    # Only the shortest spelling of a slot counts: 07 would be a second identity for 7.
    is_slot = slot.isascii() and slot.isdigit() and slot == str(int(slot[:_LONGEST_SLOT]))
    if name != caller.name or not is_slot or int(slot) >= caller.participants:
        raise Forbidden(
            "FOREIGN_IDENTITY",
            f"identity {identity!r} is not {caller.name!r}'s, whose certificate is for "
            f"{caller.participants} participants: {caller.name}/0 and so on",
        )
