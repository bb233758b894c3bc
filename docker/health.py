"""Asks a server whether it serves: ``health.py localhost:50051``; the exit status is the answer.

With FEDSIEGE_CERTS, as the server has it, it shows the certificate in that bundle.
"""

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def connect(address: str, bundle: str) -> grpc.Channel:
    """Open a channel, with TLS if there is a bundle; past any proxy, as it is to this container."""
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
