"""Callers: the name and role of the peer that makes a call, and how a server finds them out."""

import enum
import re
from collections.abc import Container
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from cryptography import x509

from fedsiege.services.errors import Unauthenticated
from fedsiege.services.identity.bundle import Clock, utc_now

#: The names that a certificate can have.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
#: A certificate has the caller's name and role as a URI among its alternative names.
_CONTROL = re.compile(rf"fedsiege://control/({NAME})")
_PARTICIPANT = re.compile(rf"fedsiege://participant/({NAME})\?places=(0|[1-9][0-9]{{0,5}})")
#: Certificates in a server's cache, which spares parsing them at every call.
_REMEMBERED = 20_000


class Role(enum.StrEnum):
    """What a caller may do.

    Attributes:
        CONTROL: create federations, open rounds, run experiments; for the simulator and operators.
        PARTICIPANT: enrol, get models, submit updates; for clients and attackers alike.
        ANYONE: both; for servers without TLS, which cannot tell callers apart.
    """

    CONTROL = "control"
    PARTICIPANT = "participant"
    ANYONE = "anyone"


@dataclass(frozen=True)
class Proof:
    """What can make a verified certificate invalid during a call.

    Attributes:
        serial: its serial number, which can be revoked.
        expires: the end of its validity.
    """

    serial: int
    expires: datetime


@dataclass(frozen=True)
class Caller:
    """The peer that makes a call.

    Attributes:
        name: the name in its certificate; without TLS the host that it calls from.
        role: what it may do.
        verified: whether a certificate proves name and role.
        participants: how many participants its certificate is for; 0 without one.
        proof: what to check again during the call; None without a certificate. It does not count
            when callers are compared, because a renewed certificate is for the same caller.
    """

    name: str
    role: Role = Role.ANYONE
    verified: bool = False
    participants: int = 0
    proof: Proof | None = field(default=None, compare=False, repr=False)


def identity_uri(name: str, role: Role, participants: int = 1) -> str:
    """Return the URI of a caller in its certificate: ``fedsiege://participant/NAME?places=N``."""
    return f"fedsiege://{role}/{name}" + (
        f"?places={participants}" if role is Role.PARTICIPANT else ""
    )


def caller_in(certificate: x509.Certificate) -> Caller | None:
    """Return the caller that a certificate names; None unless it names exactly one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        return None
    proof = Proof(certificate.serial_number, certificate.not_valid_after_utc)
    if found := _CONTROL.fullmatch(uris[0]):
        return Caller(found[1], Role.CONTROL, verified=True, proof=proof)
    if found := _PARTICIPANT.fullmatch(uris[0]):
        return Caller(found[1], Role.PARTICIPANT, True, int(found[2]), proof)
    return None


def host_of(peer: str) -> str:
    """Return the host of a peer as gRPC names it: ``10.0.0.7`` for ``ipv4:10.0.0.7:51234``."""
    kind, _, address = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer  # a Unix socket has no host: all its callers have one name
    return address.rpartition(":")[0].strip("[]")


class Callers:
    """Identifies callers without certificates: each has the name of the host it calls from."""

    def identify(self, context: Any) -> Caller:  # grpc.aio's contexts of services are not typed
        """Return the caller of a call.

        Args:
            context: gRPC's context of the call.

        Raises:
            Unauthenticated: the caller shows no valid certificate where one is needed.
        """
        return Caller(host_of(context.peer()))

    def recheck(self, caller: Caller) -> None:
        """Check the certificate of a caller again, during a long call.

        Raises:
            Unauthenticated: the certificate has become invalid.
        """


class VerifiedCallers(Callers):
    """Identifies callers by the certificate that the TLS handshake has verified.

    Args:
        revoked: the serial numbers that are revoked; asked at every check.
        clock: returns the current time.
    """

    def __init__(self, revoked: Container[int], clock: Clock = utc_now) -> None:
        self._revoked = revoked
        self._clock = clock
        self._known: dict[bytes, Caller] = {}

    def identify(self, context: Any) -> Caller:
        """Return the caller of a call.

        Args:
            context: gRPC's context of the call.

        Raises:
            Unauthenticated: NO_CERTIFICATE, UNKNOWN_ROLE, CERTIFICATE_REVOKED or
                CERTIFICATE_EXPIRED.
        """
        pem = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
        if pem is None:
            raise Unauthenticated("NO_CERTIFICATE", "this server needs a certificate")
        caller = self._known.get(pem)
        if caller is None:
            caller = caller_in(x509.load_pem_x509_certificate(pem))
            if caller is None:
                message = "the certificate has neither the role participant nor control"
                raise Unauthenticated("UNKNOWN_ROLE", message)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[pem] = caller
        self.recheck(caller)
        return caller

    def recheck(self, caller: Caller) -> None:
        """Check the certificate again: a connection can outlive it.

        Raises:
            Unauthenticated: NO_CERTIFICATE, CERTIFICATE_REVOKED or CERTIFICATE_EXPIRED.
        """
        if caller.proof is None:
            raise Unauthenticated("NO_CERTIFICATE", f"{caller.name} shows no certificate")
        if caller.proof.serial in self._revoked:
            message = f"the certificate of {caller.name} is revoked"
            raise Unauthenticated("CERTIFICATE_REVOKED", message)
        if self._clock() > caller.proof.expires:
            message = (
                f"the certificate of {caller.name} expired at {caller.proof.expires:%F %H:%MZ}"
            )
            raise Unauthenticated("CERTIFICATE_EXPIRED", message)


_current: ContextVar[Caller] = ContextVar("caller")


def current() -> Caller:
    """Return the caller of the call that is being handled, as the interceptor has set it."""
    return _current.get()


def set_current(caller: Caller) -> None:
    """Set the caller of the call that is being handled."""
    _current.set(caller)
