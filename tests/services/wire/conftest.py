"""Servers on loopback for servicers that a test makes up."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import pytest
import pytest_asyncio

from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc
from services.wire import channel, server, submitting, worker
from services.wire.place import Place
from services.wire.server import serving
from tests.services.wire.stage import Scene, at_work

Servicer = data_rpc.AggregatorServiceServicer | rpc.SimulatorServiceServicer
Serve = Callable[[Servicer], Awaitable[str]]


@pytest_asyncio.fixture
async def serve(monkeypatch) -> AsyncIterator[Serve]:
    """Serve an aggregator or a simulator; returns its address. All end with the test, at once."""
    monkeypatch.setattr(server, "GRACE", 0.0)
    async with AsyncExitStack() as stack:

        async def start(servicer: Servicer, port: int = 0) -> str:
            add = (
                data_rpc.add_AggregatorServiceServicer_to_server
                if isinstance(servicer, data_rpc.AggregatorServiceServicer)
                else rpc.add_SimulatorServiceServicer_to_server
            )
            running = serving(f"127.0.0.1:{port}", lambda one: add(servicer, one), [])
            return f"127.0.0.1:{await stack.enter_async_context(running)}"

        yield start


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens, yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def impatient(monkeypatch) -> None:
    """No test waits for a worker's pauses."""
    attempts = partial(channel.attempts, 0.001, 0.01)
    monkeypatch.setattr(worker, "attempts", attempts)
    monkeypatch.setattr(submitting, "attempts", attempts)


@pytest_asyncio.fixture
async def scene(serve, impatient) -> AsyncIterator[Scene]:
    """A client worker at work."""
    async with at_work(Scene(serve)) as scene:
        yield scene


@pytest_asyncio.fixture
async def attackers(serve, impatient) -> AsyncIterator[Scene]:
    """An attacker worker at work; it has three tokens."""
    scene = Scene(serve)
    scene.hello.kind = pb.WORKER_KIND_ATTACKER
    async with at_work(scene, Place("w1", tokens=("t0", "t1", "t2"))) as scene:
        yield scene
