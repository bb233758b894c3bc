"""The gRPC server of every service: health, reflection, error statuses, TLS, graceful shutdown."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from fedsiege.errors import InvalidValue
from fedsiege.services.identity.tls import Tls
from fedsiege.services.rpc.channel import SERVER_OPTIONS
from fedsiege.services.rpc.guard import Guard
from fedsiege.services.rpc.interceptor import ErrorInterceptor

log = logging.getLogger(__name__)

#: Seconds that open calls get to finish when a server stops.
GRACE = 5.0
LARGEST_PORT = 65_535


def port_problem(host: str, port: int) -> str:
    """Return why a port of this machine cannot be listened on; empty if it can.

    Args:
        host: a name or address of this machine.
        port: 0 to 65535; 0 stands for any free one.
    """
    if port > LARGEST_PORT:
        return f"has a port above {LARGEST_PORT}"
    try:
        [(family, kind, *_, address), *_] = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )
        with socket.socket(family, kind) as bound:
            # As gRPC does: a port whose last connections are just ending is free.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "is in use: another program listens there"
        return f"cannot be listened on: {error.strerror}"
    return ""


@asynccontextmanager
async def serving(
    address: str,
    register: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    *,
    tls: Tls | None = None,
    guard: Guard | None = None,
) -> AsyncIterator[int]:
    """Serve while the block runs; then stop, and give open calls ``GRACE`` seconds to finish.

    Args:
        address: ``host:port``; port 0 takes a free one.
        register: adds the servicers to the server.
        service_names: their full names, for health and reflection.
        tls: the server's certificate; callers then need a certificate of the same CA. None to serve
            without encryption.
        guard: enforces the roles and limits of callers; None for the default limits.

    Yields:
        The port that it listens on.

    Raises:
        InvalidValue: the address cannot be listened on, or the certificate is not a server's.
    """
    guard = Guard() if guard is None else guard
    interceptor = ErrorInterceptor(guard, tls.callers if tls else None)
    # Above the guard's limit of calls: the guard refuses a call with a reason, whereas gRPC would
    # let it wait without one.
    streams = ("grpc.max_concurrent_streams", 2 * guard.limits.streams)
    server = grpc.aio.server(interceptors=[interceptor], options=[*SERVER_OPTIONS, streams])
    register(server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = [*service_names, "grpc.health.v1.Health", reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server)
    try:
        port = (
            server.add_secure_port(address, tls.server_credentials())
            if tls
            else server.add_insecure_port(address)
        )
    except RuntimeError as error:
        host, _, number = address.rpartition(":")
        reason = number.isdecimal() and port_problem(host, int(number))
        raise InvalidValue("address", address, f"it {reason or 'cannot be listened on'}") from error
    if address.rpartition(":")[2] not in ("0", str(port)):  # gRPC takes port 99999 for 34463
        raise InvalidValue("address", address, "host:port, the port from 0 to 65535")
    await server.start()
    for name in ("", *service_names):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield port
    finally:
        # A watcher of the health service that never reads could hold this up.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await checks.enter_graceful_shutdown()
        await server.stop(GRACE)
