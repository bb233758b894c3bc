"""One place where errors become status codes, and where garbage is told from messages."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from fedsiege.errors import FedSiegeError
from services.wire.errors import Malformed, to_status, to_trailers

log = logging.getLogger(__name__)

Behaviour = Callable[..., Any]


class Garbage:
    """Stands for bytes that are no message; the handler never sees it."""


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server.

    Errors of ours become their status with details; bytes that do not parse become
    INVALID_ARGUMENT; the unforeseen is logged and becomes INTERNAL. Responses that are already
    ``bytes`` pass unserialised, so that one encoded model serves everyone who pulls it.
    """

    def __init__(self) -> None:
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
            if handler is None or not method.startswith("/fedsiege."):
                return handler  # unknown methods, health and reflection answer for themselves
            wrapped = self._wrapped[method] = _wrap(handler, method)
        return wrapped


def _wrap(handler: Any, method: str) -> Any:  # grpc's handlers are untyped named tuples
    options = {
        "request_deserializer": _tolerant(handler.request_deserializer),
        "response_serializer": _passing_bytes(handler.response_serializer),
    }
    makers: dict[tuple[bool, bool], tuple[Any, Behaviour]] = {
        (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
    }
    maker, behaviour = makers[handler.request_streaming, handler.response_streaming]
    read = _checked_stream if handler.request_streaming else _checked_message

    async def answer(request: Any, context: Any) -> Any:
        try:
            return await behaviour(read(request), context)
        except FedSiegeError as error:
            await _refuse(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:
            await _fail(context, method)

    async def answer_stream(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for response in behaviour(read(request), context):
                yield response
        except FedSiegeError as error:
            await _refuse(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:
            await _fail(context, method)

    return maker(answer_stream if handler.response_streaming else answer, **options)


def _tolerant(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return Garbage()

    return read


def _passing_bytes(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def write(message: Any) -> bytes:
        return message if isinstance(message, bytes) else serialize(message)

    return write


def _checked_message(message: Any) -> Any:
    if isinstance(message, Garbage):
        raise Malformed("MALFORMED_MESSAGE", "the bytes received are not a message of this method")
    return message


async def _checked_stream(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for message in messages:
        yield _checked_message(message)


async def _refuse(context: Any, error: FedSiegeError) -> NoReturn:
    code, status = to_status(error)
    await context.abort(code, status.message, to_trailers(status))
    raise AssertionError("abort returned")


async def _fail(context: Any, method: str) -> NoReturn:
    log.exception("%s failed", method)
    await context.abort(grpc.StatusCode.INTERNAL, f"{method} failed; the server's log says more")
    raise AssertionError("abort returned")
