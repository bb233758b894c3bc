"""Blocking calls of a server, repeated while the connection is lost: for scripts and notebooks."""

import math
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.peer_text import plain
from fedsiege.services.errors import Refusal, Unreachable
from fedsiege.services.retry import pauses
from fedsiege.services.rpc.channel import TRANSIENT, connect_blocking

if TYPE_CHECKING:
    from fedsiege.services.identity.tls import Tls

Request = TypeVar("Request")
Response = TypeVar("Response")

#: Reasons for which a stream is opened again: the caller paused for long between two messages.
_RESUMED = frozenset({"STREAM_SLOW"})


class Connection:
    """A connection to one server, whose errors are those that the server raised.

    Args:
        address: the server, ``host:port``.
        tls: the certificate of the caller; None for a connection without encryption. A connection
            keeps the certificate that it was opened with.
        timeout: seconds, above 0, within which a server must be reached and answer.

    Raises:
        InvalidValue: the address has no port, or the timeout is not above 0.
    """

    def __init__(self, address: str, tls: "Tls | None", timeout: float) -> None:
        if not address.startswith("unix:") and not address.rpartition(":")[2].isdecimal():
            raise InvalidValue("address", address, "host:port, such as localhost:50052")
        if not timeout > 0:
            raise InvalidValue("timeout", timeout, "seconds, a number above 0")
        self.address = address
        self.timeout = timeout
        self.channel = connect_blocking(address, tls)
        self._is_open = True

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        *,
        repeatable: bool = True,
    ) -> Response:
        """Return the response to a request.

        Args:
            method: the method of a stub on ``channel``.
            request: its request.
            repeatable: whether the call may be made again after the connection was lost, when the
                server may have carried it out.

        Raises:
            Unreachable: the server was not reached, or did not answer, within the timeout.
            FedSiegeError: the error that the server raised.
        """
        deadline = time.monotonic() + self.timeout
        for pause in pauses():
            self._check_open()
            try:
                return method(request, timeout=max(0.001, deadline - time.monotonic()))
            except grpc.RpcError as error:
                refusal = self._refusal(error)
            if refusal.code not in TRANSIENT:
                raise refusal.to_error()
            if not repeatable:
                raise Unreachable(
                    "CONNECTION_LOST",
                    f"the connection to {self.address} was lost during a call, which the server "
                    f"may have carried out: {plain(refusal.message)}",
                )
            if time.monotonic() + pause > deadline:
                raise self._lost(refusal)
            time.sleep(pause)
        raise AssertionError("pauses never end")

    def stream(
        self,
        method: "grpc.UnaryStreamMultiCallable[Request, Response]",
        make_request: Callable[[], Request],
    ) -> Generator[Response, None, None]:
        """Yield the messages of a stream of the server, which is opened again after it is lost.

        Args:
            method: the method of a stub on ``channel``.
            make_request: returns the request, for what follows the messages received so far.

        Raises:
            Unreachable: the server was not reached again within the timeout.
            FedSiegeError: the error that the server raised.
        """
        waits, deadline = pauses(), math.inf
        while True:
            self._check_open()
            call = method(make_request())
            try:
                for message in call:
                    waits, deadline = pauses(), math.inf
                    yield message
                return
            except grpc.RpcError as error:
                refusal = self._refusal(error)
            finally:
                call.cancel()
            if refusal.code not in TRANSIENT and refusal.reason not in _RESUMED:
                raise refusal.to_error()
            pause = next(waits)
            deadline = min(deadline, time.monotonic() + self.timeout)  # from the first failure on
            if time.monotonic() + pause > deadline:
                raise self._lost(refusal)
            time.sleep(pause)

    def close(self) -> None:
        """Close the connection and end its calls."""
        self._is_open = False
        self.channel.close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise FedSiegeError(f"this connection to {self.address} is closed")

    def _refusal(self, error: grpc.RpcError) -> Refusal:
        """Return why a call failed.

        Raises:
            Unreachable: the server did not answer in time.
            FedSiegeError: the connection has been closed here.
        """
        self._check_open()
        refusal = Refusal.of(error)
        if refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED and not refusal.reason:
            raise Unreachable(
                "NO_ANSWER", f"{self.address} did not answer within {self.timeout:g} s"
            ) from None
        return refusal

    def _lost(self, refusal: Refusal) -> Unreachable:
        return Unreachable(
            "CONNECTION_LOST",
            f"{self.address} was not reached within {self.timeout:g} s: {plain(refusal.message)}",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
