"""Roles and limits of peers: permitted methods, open calls, message rates, enrolments.

The limits keep one peer from exhausting a server for the others. A peer is a ``Caller.name``: the
name in its certificate, or the host it calls from.
"""

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self
from weakref import WeakKeyDictionary

from annotated_types import Ge

from fedsiege.registry import Component, Spelling, read_settings
from fedsiege.services.errors import Exhausted, Forbidden
from fedsiege.services.identity.callers import Caller, Role

#: Burst of a rate limit, in seconds at the full rate; available after an idle time.
BURST = 4.0
#: Peers without open calls whose rates are remembered; a forgotten peer starts with a full burst.
MAX_IDLE_PEERS = 10_000

#: Methods of the health and the reflection service, which every caller may use.
PUBLIC_METHODS = frozenset({"Check", "Watch", "List", "ServerReflectionInfo"})

_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _size(text: str) -> int:
    """Return the number that ``2000`` or ``512MiB`` stands for.

    Raises:
        ValueError: it is neither.
    """
    number = re.fullmatch(r"([0-9]{1,15})(KiB|MiB|GiB|)", text)
    if number is None:
        raise ValueError(text)
    return int(number[1]) * _UNITS[number[2]]


#: A limit, as a parameter.
_Limit = Annotated[
    int, Ge(1), Spelling("a whole number, 1 or more, such as 2000 or 512MiB", read=_size)
]


@dataclass(frozen=True)
class Limits(Component):
    """Limits of one peer, and of all peers together."""

    name: ClassVar[str] = "limits"
    summary: ClassVar[str] = "what one peer may take of a server"

    enrollments: Annotated[_Limit, "identities in one federation"] = 20_000
    streams: Annotated[_Limit, "calls open at once, of any kind"] = 1_000
    bytes: Annotated[_Limit, "bytes a second in messages, received and sent together"] = 2 << 30
    messages: Annotated[
        _Limit, "messages a second, received and sent together; opening a call counts as one"
    ] = 50_000
    total_streams: Annotated[_Limit, "calls open at once by all peers together"] = 20_000

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse limits such as ``streams=2000,bytes=512MiB``; those not named keep their default.

        Raises:
            InvalidValue: a limit is unknown, given twice, or not a whole number.
        """
        given = ",".join(part for part in text.split(",") if part.strip())
        return cls(**read_settings(cls, cls.name, given or None, "streams=2000,bytes=512MiB"))


class Bucket:
    """A token bucket: limits a rate and permits a burst. ``take`` refills it.

    Args:
        rate: tokens a second.
        now: the current time in seconds, on the same clock as for ``take``.
    """

    __slots__ = ("_level", "_updated", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._level = rate * BURST
        self._updated = now

    def take(self, amount: int, now: float) -> float:
        """Take tokens; return 0, or the seconds to wait if the bucket has a negative level.

        A bucket at 0 or more gives any amount, so that no message is too large for ever. The level
        may become negative; the bucket gives again once it is refilled to 0.
        """
        level = min(self.rate * BURST, self._level + (now - self._updated) * self.rate)
        self._updated = now
        if level < 0:
            self._level = level
            return -level / self.rate
        self._level = level - amount
        return 0.0


class Peer:
    """The current consumption of one peer.

    Attributes:
        name: as in ``Caller``.
        streams: its open calls.
    """

    __slots__ = ("_bytes", "_clock", "_messages", "name", "streams")

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float]) -> None:
        self.name = name
        self.streams = 0
        self._clock = clock
        self._bytes = Bucket(limits.bytes, clock())
        self._messages = Bucket(limits.messages, clock())

    def take(self, size: int) -> None:
        """Count a message of ``size`` bytes.

        Raises:
            Exhausted: the peer exceeds its messages or bytes a second.
        """
        now = self._clock()
        if wait := self._messages.take(1, now):
            text = self._too_fast(f"{self._messages.rate:,} messages", wait)
            raise Exhausted("PEER_MESSAGES", text)
        if wait := self._bytes.take(size, now):
            raise Exhausted("PEER_BYTES", self._too_fast(f"{self._bytes.rate:,} bytes", wait))

    def _too_fast(self, amount: str, wait: float) -> str:
        return (
            f"{self.name} exchanges more than {amount} a second with this server, which is the "
            f"limit of a peer; wait {wait:.2g} s"
        )


class Guard:
    """Enforces the role and the limits of every peer. For one event loop.

    Args:
        limits: the limits of one peer.
        control: names of the methods that the control role may call, such as ``OpenRound``; None
            for all.
        participant: the same for the participant role. Neither role may call a method that is in
            no list.
        clock: a monotonic clock, in seconds.

    Attributes:
        streams: open calls of all peers together.
    """

    def __init__(
        self,
        limits: Limits = Limits(),
        control: Collection[str] | None = None,
        participant: Collection[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._permitted = {Role.CONTROL: control, Role.PARTICIPANT: participant}
        self._clock = clock
        self.streams = 0
        self._active: dict[str, Peer] = {}
        self._idle: OrderedDict[str, Peer] = OrderedDict()
        self._enrolled: WeakKeyDictionary[object, Counter[str]] = WeakKeyDictionary()

    @property
    def peers(self) -> int:
        """The number of peers in memory."""
        return len(self._active) + len(self._idle)

    def permit(self, caller: Caller, method: str) -> None:
        """Check that a caller's role may call a method.

        Args:
            caller: the caller.
            method: the name of the method without the service, such as ``OpenRound``.

        Raises:
            Forbidden: the caller's role may not call the method.
        """
        permitted = self._permitted.get(caller.role)
        if permitted is None or method in permitted or method in PUBLIC_METHODS:
            return
        message = f"{method} is not for {caller.name}, whose role is {caller.role}"
        if caller.role is Role.PARTICIPANT:
            raise Forbidden("CONTROL_ONLY", message)
        raise Forbidden("PARTICIPANT_ONLY", message)

    def enter(self, caller: Caller) -> Peer:
        """Count a call that opens and return its peer; call ``leave`` when the call has ended.

        Raises:
            Exhausted: the peer or the server has reached its limit of open calls, or the peer
                exceeds its rates.
        """
        name, limits = caller.name, self.limits
        peer = self._active.get(name) or self._idle.get(name)
        if peer is None:
            peer = Peer(name, limits, self._clock)
        if peer.streams >= limits.streams:
            raise Exhausted(
                "PEER_STREAMS",
                f"{name} has {peer.streams:,} calls open; the limit of a peer is "
                f"{limits.streams:,}; wait until one has ended",
            )
        if self.streams >= limits.total_streams:
            raise Exhausted(
                "TOO_MANY_STREAMS",
                f"{self.streams:,} calls are open; the limit of this server is "
                f"{limits.total_streams:,}; wait until one has ended",
            )
        peer.take(0)
        self._idle.pop(name, None)
        self._active[name] = peer
        self.streams += 1
        peer.streams += 1
        return peer

    def leave(self, peer: Peer) -> None:
        """Count a call that has ended."""
        self.streams -= 1
        peer.streams -= 1
        if peer.streams == 0:
            del self._active[peer.name]
            self._idle[peer.name] = peer
            if len(self._idle) > MAX_IDLE_PEERS:
                self._idle.popitem(last=False)

    def enrolled(self, caller: Caller, count: int, federation: object) -> None:
        """Count identities that are about to enrol, after every other check has passed.

        Args:
            caller: the caller that enrols them.
            count: how many identities are new to the federation.
            federation: the federation; its counts are dropped when it is garbage-collected.

        Raises:
            Exhausted: the peer would exceed its limit of enrolments. Nothing is counted then.
        """
        enrolled = self._enrolled.setdefault(federation, Counter())
        before, limit = enrolled[caller.name], self.limits.enrollments
        if before + count > limit:
            raise Exhausted(
                "PEER_ENROLLMENTS",
                f"{caller.name} has enrolled {before:,} identities and asks for {count:,} more; "
                f"the limit of a peer is {limit:,} in one federation, and waiting changes nothing",
            )
        enrolled[caller.name] = before + count
