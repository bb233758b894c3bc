"""Options of channels and servers, the creation of channels, and retries after lost connections."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import grpc

from fedsiege.services.retry import attempts
from fedsiege.services.rpc.proxies import Route, target_host
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

if TYPE_CHECKING:  # workers without certificates start faster without it
    from fedsiege.services.identity.tls import Tls

log = logging.getLogger(__name__)

Response = TypeVar("Response")

#: A dead peer is noticed within 40 s even when no data flows. A default server disconnects clients
#: that ping more often than every 300 s without data, so the server's options permit it, too.
_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]

#: Channel option that ignores ``http_proxy``, for services on this machine or a private network.
PAST_PROXIES = ("grpc.enable_http_proxy", 0)

#: The receive limit of gRPC, 4 MiB, stays: models cross in chunks, and an oversized message is
#: refused before it is buffered.
CHANNEL_OPTIONS = [
    *_KEEPALIVE,
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
]

SERVER_OPTIONS = [
    *_KEEPALIVE,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # A second server on the same port is a mistake, not load balancing.
    ("grpc.so_reuseport", 0),
    # Close connections without a handshake or without calls; a channel reconnects when it is used.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 600_000),
]

#: Status codes of a lost connection: worth a retry.
TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})


def connect(address: str, tls: "Tls | None" = None) -> grpc.aio.Channel:
    """Open a channel to ``host:port``. It connects when first used and reconnects by itself.

    Args:
        address: the peer; with TLS its certificate must name this host.
        tls: the certificate of this process; None for a connection without encryption. A channel
            keeps the certificate that it was opened with; after a change of ``Tls.version`` open
            another channel.
    """
    _warn_of_proxy(address)
    options = channel_options(address)
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, tls.channel_credentials(), options=options)


def connect_blocking(address: str, tls: "Tls | None" = None) -> grpc.Channel:
    """Open a channel as ``connect`` does, for calls that block: in scripts and notebooks."""
    _warn_of_proxy(address)
    options = channel_options(address)
    if tls is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, tls.channel_credentials(), options=options)


def _warn_of_proxy(address: str) -> None:
    route = Route.to(address)
    if route.proxy:
        log.warning("%s; set no_proxy=%s to go around it", route, target_host(address))


def channel_options(address: str) -> list[tuple[str, int]]:
    """Return the options of a channel to a peer; only remote peers are reached through a proxy."""
    return [*CHANNEL_OPTIONS, *([] if Route.to(address).proxy else [PAST_PROXIES])]


def data_plane(channel: grpc.aio.Channel) -> "rpc.AggregatorServiceAsyncStub":
    """Return the aggregator's stub; its SubmitUpdates takes serialised messages (bytes)."""
    stub: rpc.AggregatorServiceAsyncStub = rpc.AggregatorServiceStub(channel)
    stub.SubmitUpdates = channel.stream_stream(
        "/fedsiege.v1.AggregatorService/SubmitUpdates",
        response_deserializer=pb.SubmitUpdatesResponse.FromString,
    )
    return stub


async def call_with_retry(
    call: Callable[[], Awaitable[Response]], deadline: float | None
) -> Response:
    """Await a call and repeat it while the connection is lost.

    Args:
        call: makes the call.
        deadline: when to stop retrying, on the clock of ``time.monotonic``; None for one attempt.

    Returns:
        The response of the first attempt that succeeds.

    Raises:
        grpc.aio.AioRpcError: the peer refused the call, or could not be reached by the deadline.
    """
    async for _ in attempts():
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            given_up = deadline is None or time.monotonic() > deadline
            if given_up or error.code() not in TRANSIENT:
                raise
    raise AssertionError("attempts never end")
