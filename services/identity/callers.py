"""Who calls: what a server knows of its peer, and what that peer may do."""

import enum
import re
from collections.abc import Container
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from cryptography import x509

from services.errors import Unauthenticated
from services.identity.bundle import Clock, utc_now

#: Names that certificates give.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
#: How a certificate says whom it is for, as a URI among its alternative names.
_CONTROL = re.compile(rf"fedsiege://control/({NAME})")
_PARTICIPANT = re.compile(rf"fedsiege://participant/({NAME})\?places=(0|[1-9][0-9]{{0,5}})")
#: Certificates a server remembers, so that each is read once and not at every call.
_REMEMBERED = 20_000


class Role(enum.StrEnum):
    """What a caller may do.

    Attributes:
        CONTROL: open rounds, create federations, run experiments: the simulator and people.
        PARTICIPANT: enrol, pull models, send updates: clients and attackers alike.
        ANYONE: both, where nobody proves who he is.
    """

    CONTROL = "control"
    PARTICIPANT = "participant"
    ANYONE = "anyone"


@dataclass(frozen=True)
class Proof:
    """What of a verified certificate may become invalid while it is used.

    Attributes:
        serial: its number among the CA's.
        expires: when it ends.
    """

    serial: int
    expires: datetime


@dataclass(frozen=True)
class Caller:
    """A peer.

    Attributes:
        name: with a verified certificate the name in it; else the host it calls from.
        role: what it may do.
        verified: whether a certificate proves name and role.
        places: with a certificate, how many participants it vouches for.
        proof: the certificate. Two callers are the same whatever proves it.
    """

    name: str
    role: Role = Role.ANYONE
    verified: bool = False
    participants: int = 0
    proof: Proof | None = field(default=None, compare=False, repr=False)


def identity_uri(name: str, role: Role, participants: int = 1) -> str:
    """Spell an identity as certificates carry it: ``fedsiege://participant/NAME?places=N``."""
    return f"fedsiege://{role}/{name}" + (
        f"?places={participants}" if role is Role.PARTICIPANT else ""
    )


def caller_in(certificate: x509.Certificate) -> Caller | None:
    """Return whom a certificate is for; None if it names nobody who may call, or is ambiguous."""
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
    """Return the host in gRPC's spelling of a peer: ``ipv4:10.0.0.7:51234`` is ``10.0.0.7``."""
    kind, _, address = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer  # a Unix socket has no host: all who call over it are one
    return address.rpartition(":")[0].strip("[]")


class Callers:
    """Says who calls, where nobody has to prove it: everyone is the host it calls from."""

    def identify(self, context: Any) -> Caller:  # grpc.aio's contexts of services are not typed
        """Return who makes a call.

        Raises:
            Unauthenticated: it does not prove who it is, or what it shows is not valid (any more).
        """
        return Caller(host_of(context.peer()))

    def recheck(self, caller: Caller) -> None:
        """Look again at the caller of a call that has been going on for a while.

        Raises:
            Unauthenticated: what it showed has become invalid.
        """


class VerifiedCallers(Callers):
    """Says who calls from the certificate that the handshake has verified.

    Args:
        revoked: the serial numbers that are no longer good, as of now.
        clock: tells the time.
    """

    def __init__(self, revoked: Container[int], clock: Clock = utc_now) -> None:
        self._revoked = revoked
        self._clock = clock
        self._known: dict[bytes, Caller] = {}

    def identify(self, context: Any) -> Caller:
        """Return who makes a call.

        Raises:
            Unauthenticated: NO_CERTIFICATE, UNKNOWN_ROLE, CERTIFICATE_REVOKED or
                CERTIFICATE_EXPIRED.
        """
        pem = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
        if pem is None:
            raise Unauthenticated("NO_CERTIFICATE", "this server answers only to certificates")
        caller = self._known.get(pem)
        if caller is None:
            caller = caller_in(x509.load_pem_x509_certificate(pem))
            if caller is None:
                message = "the certificate is neither a participant's nor of the control plane"
                raise Unauthenticated("UNKNOWN_ROLE", message)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[pem] = caller
        self.recheck(caller)
        return caller

    def recheck(self, caller: Caller) -> None:
        """Look again: a connection can outlive the certificate that opened it.

        Raises:
            Unauthenticated: NO_CERTIFICATE, CERTIFICATE_REVOKED or CERTIFICATE_EXPIRED.
        """
        if caller.proof is None:
            raise Unauthenticated("NO_CERTIFICATE", f"{caller.name} has shown no certificate")
        if caller.proof.serial in self._revoked:
            message = f"the certificate of {caller.name} is revoked"
            raise Unauthenticated("CERTIFICATE_REVOKED", message)
        if self._clock() > caller.proof.expires:
            message = f"the certificate of {caller.name} ended at {caller.proof.expires:%F %H:%MZ}"
            raise Unauthenticated("CERTIFICATE_EXPIRED", message)


_current: ContextVar[Caller] = ContextVar("caller")


def current() -> Caller:
    """Return who makes the call that is being answered; the interceptor has noted it."""
    return _current.get()


def note(caller: Caller) -> None:
    """Note who makes the call that is being answered."""
    _current.set(caller)
