"""Check a server's health: ``health.py localhost:50051`` exits with 0 if it serves, else 1.

With FEDSIEGE_CERTS, the folder of the server's own bundle, it connects with that certificate.
"""

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def connect(address: str, bundle: str) -> grpc.Channel:
    """Open a channel, with TLS if there is a bundle; never through a proxy."""
    options = [("grpc.enable_http_proxy", 0)]
    if not bundle:
        return grpc.insecure_channel(address, options)
    files = (Path(bundle, f"{name}.pem").read_bytes() for name in ("ca", "key", "certificate"))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(*files), options)


with connect(sys.argv[1], os.environ.get("FEDSIEGE_CERTS", "")) as channel:
    answer = health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(), timeout=3, wait_for_ready=True
    )
sys.exit(answer.status != health_pb2.HealthCheckResponse.SERVING)
