"""Tests of proxies: local and private peers are reached directly, remote ones as configured."""

import os
import subprocess
import sys

import pytest

from fedsiege.services.rpc.channel import channel_options
from fedsiege.services.rpc.proxies import Route
from tests.cases import each

#: Nothing listens there.
DEAD = "http://somebody:secret@127.0.0.1:9"
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in (*VARIABLES, "no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1:50051", "localhost:50051", "[::1]:50051", "aggregator:50051"),
        *("10.0.0.7:1", "172.17.0.1:1", "192.168.1.2:1", "169.254.1.1:1", "[fe80::1%eth0]:1"),
        *("dns:///aggregator:50051", "ipv4:127.0.0.1:1", "unix:/run/aggregator.sock"),
    ],
)
def test_local_and_private_peers_are_reached_directly(monkeypatch, address, variable):
    monkeypatch.setenv(variable, DEAD)
    assert str(Route.to(address)) == address
    assert ("grpc.enable_http_proxy", 0) in channel_options(address)


@each("variable", VARIABLES)
@each("address", ["siege.example.org:50051", "8.8.8.8:1", "[2600::1]:1"])
def test_the_proxy_of_a_remote_peer_is_named_without_password(address, variable):
    route = Route.to(address, {variable: DEAD})
    assert str(route) == f"{address} through the proxy 127.0.0.1:9 of {variable}"


def test_a_channel_to_a_remote_peer_may_use_the_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", DEAD)
    assert "grpc.enable_http_proxy" not in dict(channel_options("siege.example.org:50051"))


@each("name", ["no_grpc_proxy", "no_proxy", "NO_PROXY"])
@each(
    ("address", "listed"),
    [
        ("siege.example.org:1", "example.org"),
        ("siege.example.org:1", "other.net, .example.org"),
        ("siege.example.org:1", "*"),
        ("8.8.8.8:1", "8.8.8.8"),
        ("8.8.8.8:1", "other.net,8.8.0.0/16"),
        ("[2600::1]:1", "2600::/16"),
    ],
)
def test_no_proxy_is_respected(name, address, listed):
    assert Route.to(address, {"http_proxy": DEAD, name: listed}) == Route(address)
    assert Route.to(address, {"http_proxy": DEAD, name: "elsewhere.net,9.9.0.0/16"}).proxy


SERVE_AND_CALL = """
import asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.server import serving

async def main():
    async with serving("127.0.0.1:0", lambda server: None, []) as port:
        async with connect(f"127.0.0.1:{port}") as channel:
            request = health_pb2.HealthCheckRequest()
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
            print("status", answer.status)

asyncio.run(main())
"""


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_call_to_this_machine_ignores_a_dead_proxy(variable):
    done = subprocess.run(
        [sys.executable, "-c", SERVE_AND_CALL],
        env={**os.environ, variable: DEAD},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "status 1\n", done.stderr


def test_a_worker_names_the_proxy_of_a_remote_simulator():
    command = [
        sys.executable,
        "-m",
        "fedsiege.services.client",
        "--simulator=siege.example.org:50052",
    ]
    command += ["--aggregator=siege.example.org:50051"]
    worker = subprocess.Popen(
        command, env={**os.environ, "http_proxy": DEAD}, stderr=subprocess.PIPE, text=True
    )
    said = ""
    with worker:
        assert worker.stderr is not None
        for line in worker.stderr:
            said += line
            if "waiting for the simulator" in line:
                break
        worker.kill()
    where = "siege.example.org:50052 through the proxy 127.0.0.1:9 of http_proxy"
    assert f"{where}; set no_proxy=siege.example.org to go around it" in said
    assert f"waiting for the simulator at {where}" in said
    assert "secret" not in said
