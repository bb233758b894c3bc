"""Who calls: what a server knows of its peer, and what that peer may do."""

import enum
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


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
class Caller:
    """A peer.

    Attributes:
        name: with a verified certificate the name in it; else the host it calls from.
        role: what it may do.
        verified: whether a certificate proves name and role.
        places: with a certificate, how many participants it vouches for.
    """

    name: str
    role: Role = Role.ANYONE
    verified: bool = False
    places: int = 0


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


_current: ContextVar[Caller] = ContextVar("caller")


def current() -> Caller:
    """Return who makes the call that is being answered; the interceptor has noted it."""
    return _current.get()


def note(caller: Caller) -> None:
    """Note who makes the call that is being answered."""
    _current.set(caller)
