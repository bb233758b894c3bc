"""A server as all our services run it: health, reflection, errors, keepalive, a graceful end."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from fedsiege.errors import InvalidValue
from services.wire.channel import SERVER_OPTIONS
from services.wire.interceptor import ErrorInterceptor

log = logging.getLogger(__name__)

#: Seconds that calls in flight get when a server stops.
GRACE = 5.0


@asynccontextmanager
async def serving(
    address: str,
    register: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
) -> AsyncIterator[int]:
    """Serve while the block runs, then drain.

    Args:
        address: ``host:port``; port 0 takes a free one.
        register: adds the servicers to the server.
        service_names: their full names, for health and reflection.

    Yields:
        The port.

    Raises:
        InvalidValue: the address cannot be served on.
    """
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
    register(server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = [*service_names, "grpc.health.v1.Health", reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise InvalidValue("address", address, f"cannot be served on: {error}") from error
    if address.rpartition(":")[2] not in ("0", str(port)):  # gRPC takes port 99999 for 34463
        raise InvalidValue("address", address, "host:port, the port from 0 to 65535")
    await server.start()
    for name in ("", *service_names):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield port
    finally:
        await checks.enter_graceful_shutdown()
        await server.stop(GRACE)
