"""The server interceptor: identifies callers, enforces limits, turns errors into gRPC statuses."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError

from fedsiege.errors import FedSiegeError
from fedsiege.services.errors import Malformed, to_status, to_trailers
from fedsiege.services.identity.callers import Callers, set_current
from fedsiege.services.rpc.calls import Call, OpenCalls
from fedsiege.services.rpc.guard import Guard

log = logging.getLogger(__name__)

#: Parses the bytes of a request message; raises DecodeError or Malformed.
Reader = Callable[[bytes], Any]
Behaviour = TypeVar("Behaviour", bound=Callable[..., Any])


def reads_with(reader: Reader) -> Callable[[Behaviour], Behaviour]:
    """Decorate a servicer's method whose requests a parser of its own reads.

    Args:
        reader: parses a request message in place of the protobuf class.
    """

    def decorate(behaviour: Behaviour) -> Behaviour:
        behaviour.reader = reader  # type: ignore[attr-defined]
        return behaviour

    return decorate


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server.

    It identifies callers, enforces their roles and limits, and ends stalled calls. A
    ``FedSiegeError`` becomes a status with details; bytes that do not parse become
    INVALID_ARGUMENT; any other error is logged and becomes INTERNAL. Responses that are already
    ``bytes`` are not serialised again, so that one encoded model serves every GetModel.

    Args:
        guard: enforces roles and limits; None for the default limits.
        callers: identifies callers; None to identify them by address.
    """

    def __init__(self, guard: Guard | None = None, callers: Callers | None = None) -> None:
        self._guard = Guard() if guard is None else guard
        self._callers = Callers() if callers is None else callers
        self._calls = OpenCalls(self._guard, self._callers)
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Return the wrapped handler; wrapping is done once per method."""
        method = str(handler_call_details.method)
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # gRPC answers UNIMPLEMENTED
            wrapped = self._wrapped[method] = self._wrap(handler, method)
        return wrapped

    def _wrap(self, handler: Any, method: str) -> Any:  # grpc's handlers are untyped named tuples
        """Return a handler of serialised messages that checks, counts and calls ``handler``.

        It is registered with a request stream whatever ``handler`` takes, which on the wire is the
        same: a call is then seen, and counted, from its headers on, before its first message.
        """
        name = method.rpartition("/")[2]
        behaviour = _behaviour(handler)
        read: Reader = getattr(behaviour, "reader", handler.request_deserializer)
        yielding = inspect.isasyncgenfunction(behaviour)

        async def answer(_: Any, context: Any) -> bytes | None:
            call: Call | None = None
            try:
                caller = self._callers.identify(context)
                set_current(caller)
                self._guard.permit(caller, name)
                call = self._calls.open(caller)
                context.add_done_callback(lambda _: self._calls.close(call))
                counted = _CountedContext(context, call, read, handler.response_serializer)
                request = (
                    counted.requests() if handler.request_streaming else await counted.request()
                )
                if not yielding:
                    response = await behaviour(request, counted)
                    # one that yields nothing has written its responses itself
                    return None if handler.response_streaming else counted.encoded(response)
                call.responses = behaviour(request, counted)
                async for response in call.responses:
                    await counted.write(response)
                    if call.refusal is not None:
                        break
                if call.refusal is None:
                    return None
                problem: Exception = call.refusal
            except asyncio.CancelledError:
                if call is None or call.refusal is None:
                    raise
                problem = call.refusal
            except grpc.aio.BaseError:
                raise  # gRPC's own: the handler aborted, or the connection was lost
            except Exception as error:
                problem = error
            finally:
                if call is not None:
                    call.mark_answered()
            return await _abort(context, problem, method)

        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(answer)
        return grpc.stream_unary_rpc_method_handler(answer)


def _behaviour(handler: Any) -> Callable[[Any, Any], Any]:
    """Return the one function that a handler has."""
    for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
        behaviour = getattr(handler, kind)
        if behaviour is not None:
            return behaviour  # type: ignore[no-any-return]
    raise ValueError(f"{handler} handles nothing")


class _CountedContext:
    """A servicer context that parses, serialises and counts the messages of a call.

    Args:
        context: the context of grpc.aio, to which all other attributes are delegated.
        call: counts the messages.
        read: parses requests.
        serialize: serialises responses.
    """

    __slots__ = ("_call", "_context", "_read", "_serialize")

    def __init__(
        self, context: Any, call: Call, read: Reader, serialize: Callable[[Any], bytes]
    ) -> None:
        self._context = context
        self._call = call
        self._read = read
        self._serialize = serialize

    def _decoded(self, data: bytes) -> Any:
        self._call.received(len(data))
        try:
            return self._read(data)
        except DecodeError:
            raise Malformed(
                "MALFORMED_MESSAGE", "the bytes received are not a message of this method"
            ) from None

    def encoded(self, response: Any) -> bytes:
        """Serialise a response and count it."""
        data: bytes = response if isinstance(response, bytes) else self._serialize(response)
        self._call.sending(len(data))
        return data

    async def request(self) -> Any:
        """Return the request of a call that has one request."""
        data = await self._context.read()
        if data is grpc.aio.EOF:
            raise Malformed("MALFORMED_STREAM", "the call ended before its message")
        return self._decoded(data)

    async def requests(self) -> AsyncIterator[Any]:
        """Yield the requests of a call with a request stream."""
        while (data := await self._context.read()) is not grpc.aio.EOF:
            yield self._decoded(data)

    async def write(self, response: Any) -> None:
        """Write one message of a response stream."""
        await self._context.write(self.encoded(response))
        self._call.sent()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


async def _abort(context: Any, problem: Exception, method: str) -> NoReturn:
    """Abort a call with the status of an error."""
    if isinstance(problem, FedSiegeError):
        code, status = to_status(problem)
        await context.abort(code, status.message, to_trailers(status))
    else:
        log.error("%s failed", method, exc_info=problem)
        text = f"{method} failed; see the server's log"
        await context.abort(grpc.StatusCode.INTERNAL, text)
    raise AssertionError("abort returned")
