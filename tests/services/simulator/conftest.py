"""Fixtures: a simulator on loopback beside a real aggregator."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest_asyncio

from fedsiege.v1 import simulator_pb2_grpc as rpc
from services.rpc.channel import connect
from services.rpc.server import serving
from services.simulator.service import SimulatorService
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
