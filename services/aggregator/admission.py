"""Admission modes: what an identity must show to enrol: nothing, a token, or a certificate.

In every mode one identity is one participant, which sends one update a round and keeps its index.
The modes differ in the cost of an identity: nothing, a token that an operator issued, or a
certificate that the certificate authority signed.
"""

import abc
import asyncio
import math
from collections.abc import Sequence
from typing import ClassVar

from fedsiege.services.aggregator.participants import Participant, check_credential
from fedsiege.services.errors import Forbidden, Unauthenticated
from fedsiege.services.identity.callers import Caller
from fedsiege.services.identity.ledger import Ledger, revoked_token
from fedsiege.v1 import aggregator_pb2 as pb

#: Seconds after which the revoked tokens are read again from the ledger.
REVOCATION_REFRESH = 0.5
#: Digits of a slot that are parsed; no certificate is for that many participants.
_LONGEST_SLOT = 10


class Admission(abc.ABC):
    """Decides which identities may enrol and send updates, in all federations of an aggregator."""

    #: The name in a federation's specification.
    name: ClassVar[str]
    #: Whether the mode itself proves identities, so that participants need no secrets.
    proves_identity: ClassVar[bool] = False

    @abc.abstractmethod
    async def admit(self, enrollments: Sequence[pb.Enrollment], caller: Caller) -> None:
        """Check that all of these identities may enrol; if one may not, none does.

        Args:
            enrollments: the identities, with their tokens.
            caller: the caller that enrols them.

        Raises:
            Unauthenticated, Forbidden: an identity may not enrol; the message names it.
        """

    def authenticate(self, participant: Participant, credential: bytes, caller: Caller) -> None:
        """Check that a caller may act for a participant.

        Args:
            participant: the participant that the caller claims to be.
            credential: the secret that the caller shows.
            caller: the identified caller.

        Raises:
            Unauthenticated, Forbidden: the caller may not act for the participant.
        """
        check_credential(participant, credential)

    async def check(self, participant: Participant) -> None:
        """Check that an authenticated participant may still take part.

        Raises:
            Forbidden: its token has been revoked.
        """
        return


class Open(Admission):
    """Any caller may enrol any number of identities: the threat model of MPAF."""

    name = "open"

    async def admit(self, enrollments: Sequence[pb.Enrollment], caller: Caller) -> None:
        """Admit every identity."""


class ByToken(Admission):
    """Every identity needs a token of its own, to which it is bound from then on.

    Args:
        ledger: the issued tokens.
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
        """Check that the participant's token is not revoked; effective within a second."""
        now = asyncio.get_running_loop().time()
        if now - self._refreshed_at >= REVOCATION_REFRESH:
            self._refreshed_at = now
            self._revoked = await asyncio.to_thread(self._ledger.revoked_identities)
        if participant.identity in self._revoked:
            raise revoked_token(participant.identity)


class ByCertificate(Admission):
    """Identities are ``<name in the certificate>/<slot>``; the certificate limits the slots.

    The certificate proves the identity at every call. Secrets are not checked, so a participant
    keeps its index when its key is replaced or its secret is lost.
    """

    name = "mtls"
    proves_identity = True

    async def admit(self, enrollments: Sequence[pb.Enrollment], caller: Caller) -> None:
        """Admit the identities that belong to the caller's certificate."""
        for one in enrollments:
            _check_owner(one.identity, caller)

    def authenticate(self, participant: Participant, credential: bytes, caller: Caller) -> None:
        """Check that the participant's identity belongs to the caller's certificate."""
        _check_owner(participant.identity, caller)


def _check_owner(identity: str, caller: Caller) -> None:
    """Check that an identity belongs to the caller's certificate."""
    if not caller.verified:
        raise Unauthenticated("NO_CERTIFICATE", "the caller has no verified certificate")
    name, _, slot = identity.rpartition("/")
    # Only the shortest spelling of a slot counts: 07 would be a second identity for 7.
    is_slot = slot.isascii() and slot.isdigit() and slot == str(int(slot[:_LONGEST_SLOT]))
    if name != caller.name or not is_slot or int(slot) >= caller.participants:
        raise Forbidden(
            "FOREIGN_IDENTITY",
            f"identity {identity!r} does not belong to the certificate of {caller.name!r}, which "
            f"is for {caller.participants} participants: {caller.name}/0 and so on",
        )
