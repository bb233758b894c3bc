"""Fixtures: a simulator on loopback beside a real aggregator."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest_asyncio

from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.server import serving
from fedsiege.services.simulator.service import SimulatorService
from fedsiege.v1 import simulator_pb2_grpc as rpc
from tests.services.simulator.puppets import Simulator


@pytest_asyncio.fixture
async def simulator(aggregator: grpc.aio.Channel, tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator beside a real aggregator."""
    service = SimulatorService(aggregator, tmp_path, tmp_path / "runs")
    async with serving(
        "127.0.0.1:0",
        lambda server: rpc.add_SimulatorServiceServicer_to_server(service, server),
        [],
    ) as port:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield Simulator(channel, aggregator, tmp_path / "runs")
        await service.close()
