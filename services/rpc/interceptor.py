"""Around every call: who makes it, what it may take, and how an error becomes a status."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError

from fedsiege.errors import FedSiegeError
from services.errors import Malformed, to_status, to_trailers
from services.identity.callers import Callers, set_current
from services.rpc.calls import Call, OpenCalls
from services.rpc.guard import Guard

log = logging.getLogger(__name__)

#: Makes a request of bytes; raises DecodeError or Malformed.
Reader = Callable[[bytes], Any]
Behaviour = TypeVar("Behaviour", bound=Callable[..., Any])


def reads_with(reader: Reader) -> Callable[[Behaviour], Behaviour]:
    """Decorate a servicer's method whose requests are read otherwise than by the contract's class.

    Args:
        reader: makes a request of a message's bytes.
    """

    def decorate(behaviour: Behaviour) -> Behaviour:
        behaviour.reader = reader  # type: ignore[attr-defined]
        return behaviour

    return decorate


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server.

    Callers are identified, held to their role and their limits, and cut off when they let the
    server wait. Errors of ours become their status with details; bytes that do not parse become
    INVALID_ARGUMENT; the unforeseen is logged and becomes INTERNAL. Responses that are already
    ``bytes`` pass unserialised, so that one encoded model serves all who pull it.

    Args:
        guard: what peers may do and take.
        callers: says who calls.
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
                return None  # grpc says that there is no such method
            wrapped = self._wrapped[method] = self._wrap(handler, method)
        return wrapped

    def _wrap(self, handler: Any, method: str) -> Any:  # grpc's handlers are untyped named tuples
        """Return a handler that does with bytes what ``handler`` does with messages.

        To grpc its requests are a stream in any case, which on the wire is the same: so a call is
        seen from its headers on, before it has brought anything.
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
                raise  # grpc's own: the handler aborted, the counted broke
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
    """Where messages pass, counted and watched; also the context that a handler is given.

    Args:
        context: grpc's.
        call: where they are counted.
        read: makes requests of bytes.
        serialize: makes bytes of responses.
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
        """Return a response as bytes that may go out."""
        data: bytes = response if isinstance(response, bytes) else self._serialize(response)
        self._call.sending(len(data))
        return data

    async def request(self) -> Any:
        """Return the message of a call that has one."""
        data = await self._context.read()
        if data is grpc.aio.EOF:
            raise Malformed("MALFORMED_STREAM", "the call ended before its message")
        return self._decoded(data)

    async def requests(self) -> AsyncIterator[Any]:
        """Yield the messages of a call that has many."""
        while (data := await self._context.read()) is not grpc.aio.EOF:
            yield self._decoded(data)

    async def write(self, response: Any) -> None:
        """Send one response of many."""
        await self._context.write(self.encoded(response))
        self._call.sent()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


async def _abort(context: Any, problem: Exception, method: str) -> NoReturn:
    """End a call with the status that says what is wrong."""
    if isinstance(problem, FedSiegeError):
        code, status = to_status(problem)
        await context.abort(code, status.message, to_trailers(status))
    else:
        log.error("%s failed", method, exc_info=problem)
        text = f"{method} failed; the server's log says more"
        await context.abort(grpc.StatusCode.INTERNAL, text)
    raise AssertionError("abort returned")
