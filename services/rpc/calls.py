"""Open calls of a server: their accounting, and the timer that ends stalled or invalid ones."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from fedsiege.errors import FedSiegeError
from fedsiege.services.errors import ServiceError, TooSlow
from fedsiege.services.identity.callers import Caller, Callers
from fedsiege.services.rpc.guard import Guard, Peer

#: Seconds within which the first message of a call must have arrived completely.
FIRST_MESSAGE_TIMEOUT = 10.0
#: Seconds within which a caller must read a response message; 1 MiB then needs 35 kB/s.
WRITE_TIMEOUT = 30.0
#: Seconds between two checks of the open calls.
CHECK_INTERVAL = 1.0


class Call:
    """One open call.

    Attributes:
        caller: the identified caller.
        peer: the peer whose limits its messages count against.
        refusal: the error with which ``end`` ended it; None if the call was not ended.
        responses: the response generator of its handler; None for a handler with one response.
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
        """Count a received message of ``size`` bytes.

        Raises:
            Exhausted: the message exceeds the peer's rate limits.
        """
        self.peer.take(size)
        self._has_received = True

    def sending(self, size: int) -> None:
        """Count a message of ``size`` bytes before it is written; call ``sent`` after the write.

        Raises:
            Exhausted: the message exceeds the peer's rate limits.
        """
        self.peer.take(size)
        self._sending = time.monotonic()

    def sent(self) -> None:
        """Record that the pending write has completed."""
        self._sending = None

    def overdue(self, now: float) -> TooSlow | None:
        """Return the error of a timeout that the call has exceeded; None if it has exceeded none.

        Args:
            now: the current time, on the clock of ``time.monotonic``.
        """
        if not self._has_received and now > self._opened + FIRST_MESSAGE_TIMEOUT:
            return TooSlow(
                "STREAM_IDLE",
                f"no message for {FIRST_MESSAGE_TIMEOUT:g} s; send it without pauses",
            )
        if self._sending is not None and now > self._sending + WRITE_TIMEOUT:
            return TooSlow("STREAM_SLOW", f"a message was not taken for {WRITE_TIMEOUT:g} s")
        return None

    def end(self, refusal: FedSiegeError) -> None:
        """Stop the handler of the call; its task then answers with ``refusal``.

        grpc.aio can neither withdraw a message that is being written nor reset a call. A task that
        is cancelled during a write can no longer send a status. A call with a pending write
        therefore gets its status once the caller reads the message or disconnects. Until then the
        call stays open and counted, but the generator is closed, which frees the model that it was
        sending.
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
        """Record that the handler has finished; ``end`` then has no effect any more."""
        self._task = None


class OpenCalls:
    """All open calls of a server. One timer checks them; it runs only while a call is open.

    Args:
        guard: enforces the limits of peers.
        callers: checks whether certificates are still valid.
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
        """Register the call that the current task answers; ``close`` it when gRPC has ended it.

        Raises:
            Exhausted: the peer or the server has reached its limit of open calls.
        """
        call = Call(caller, self._guard.enter(caller))
        self._open.add(call)
        if self._timer is None:
            self._schedule_check()
        return call

    def close(self, call: Call) -> None:
        """Remove a call that has ended."""
        self._open.remove(call)
        self._guard.leave(call.peer)

    def _schedule_check(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL, self._check_calls)

    def _check_calls(self) -> None:
        """End the calls that exceed a timeout or whose caller's certificate is no longer valid."""
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
        """Return the error that makes a caller invalid; None if the caller is still valid."""
        try:
            self._callers.recheck(caller)
        except ServiceError as error:
            return error
        return None
