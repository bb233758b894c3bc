"""The calls that are open: each is counted, and looked at while it lasts."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from fedsiege.errors import FedSiegeError
from services.errors import ServiceError, TooSlow
from services.identity.callers import Caller, Callers
from services.rpc.guard import Guard, Peer

#: Seconds within which a call must bring its first message, whole.
FIRST_MESSAGE_TIMEOUT = 10.0
#: Seconds within which a caller must take a message; the largest, 1 MiB, then flows at 35 kB/s.
WRITE_TIMEOUT = 30.0
#: Seconds between two looks at the open calls.
CHECK_INTERVAL = 1.0


class Call:
    """One open call.

    Attributes:
        caller: who makes it.
        peer: where its messages are counted.
        refusal: why it was ended from outside; None if it was not.
        responses: what its handler yields; None if it answers once.
    """

    __slots__ = (
        "_has_received",
        "_opened",
        "_sending",
        "_stopping",
        "_task",
        "caller",
        "peer",
        "refusal",
        "responses",
    )

    def __init__(self, caller: Caller, peer: Peer) -> None:
        self.caller = caller
        self.peer = peer
        self.refusal: FedSiegeError | None = None
        self.responses: AsyncGenerator[Any, None] | None = None
        self._task = asyncio.current_task()
        self._opened = time.monotonic()
        self._has_received = False
        self._sending: float | None = None
        self._stopping: asyncio.Task[None] | None = None

    def received(self, size: int) -> None:
        """Note a message that came in.

        Raises:
            Exhausted: it is more than the peer may send now.
        """
        self.peer.take(size)
        self._has_received = True

    def sending(self, size: int) -> None:
        """Note a message that is about to go out; ``sent`` when it has.

        Raises:
            Exhausted: it is more than the peer may take now.
        """
        self.peer.take(size)
        self._sending = time.monotonic()

    def sent(self) -> None:
        """Note that the message has gone out."""
        self._sending = None

    def overdue(self, now: float) -> TooSlow | None:
        """Return what the caller lets this server wait for, if it has for too long."""
        if not self._has_received and now > self._opened + FIRST_MESSAGE_TIMEOUT:
            return TooSlow(
                "STREAM_IDLE", f"nothing came for {FIRST_MESSAGE_TIMEOUT:g} s; send it in one go"
            )
        if self._sending is not None and now > self._sending + WRITE_TIMEOUT:
            return TooSlow("STREAM_SLOW", f"a message was not taken for {WRITE_TIMEOUT:g} s")
        return None

    def end(self, refusal: FedSiegeError) -> None:
        """End the call: its handler is stopped, and its task finds out here why.

        grpc.aio can neither take back a message that is on its way nor reset a call: once the task
        is cancelled in there, no status can be sent and nobody knows what the core still holds. So
        a caller that does not take its message is told when it does, or hangs up. Until then the
        call is open, and counted, but the model that its handler was sending is let go.
        """
        if self._task is None:
            return
        self.refusal = refusal
        if self._sending is None:
            self._task.cancel()
        elif self.responses is not None:
            self._stopping = asyncio.create_task(self.responses.aclose())
        self._task = None

    def mark_answered(self) -> None:
        """Note that the answer stands: the call cannot be ended any more, only closed."""
        self._task = None


class OpenCalls:
    """All open calls of a server. One timer looks at them, and there is none when none is open.

    Args:
        guard: holds peers to their limits.
        callers: says whose proof has become invalid.
    """

    def __init__(self, guard: Guard, callers: Callers) -> None:
        self._guard = guard
        self._callers = callers
        self._open: set[Call] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def watched(self) -> bool:
        """Whether the timer runs."""
        return self._timer is not None

    def open(self, caller: Caller) -> Call:
        """Note a call that the current task answers; ``close`` it when grpc is through with it.

        Raises:
            Exhausted: one more may not be.
        """
        call = Call(caller, self._guard.enter(caller))
        self._open.add(call)
        if self._timer is None:
            self._schedule_check()
        return call

    def close(self, call: Call) -> None:
        """Note that a call has ended."""
        self._open.remove(call)
        self._guard.leave(call.peer)

    def _schedule_check(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL, self._check_calls)

    def _check_calls(self) -> None:
        """End the calls that are overdue, and those of callers who are not valid any more."""
        self._timer = None
        now = time.monotonic()
        found: dict[Caller, ServiceError | None] = {}
        for call in self._open:
            if call.caller not in found:
                found[call.caller] = self._invalid(call.caller)
            refusal = found[call.caller] or call.overdue(now)
            if refusal is not None:
                call.end(refusal)
        if self._open:
            self._schedule_check()

    def _invalid(self, caller: Caller) -> ServiceError | None:
        """Return why a caller is not valid any more; None if it is."""
        try:
            self._callers.recheck(caller)
        except ServiceError as error:
            return error
        return None
