"""Starts a simulator: ``python -m services.simulator --aggregator aggregator:50051``."""

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fedsiege.v1 import simulator_pb2_grpc as rpc
from services.simulator.service import SimulatorService
from services.wire import process
from services.wire.channel import connect
from services.wire.server import serving

log = logging.getLogger("services.simulator")

SERVICE_NAME = "fedsiege.v1.SimulatorService"


@asynccontextmanager
async def simulating(
    address: str, aggregator: str, data: Path, runs: Path
) -> AsyncIterator[tuple[SimulatorService, int]]:
    """Serve the control plane while the block runs.

    Args:
        address: ``host:port``; port 0 takes a free one.
        aggregator: the aggregator's ``host:port``.
        data: the folder of the data sets.
        runs: where results folders are created.

    Yields:
        The service and its port.
    """
    async with connect(aggregator) as channel:
        service = SimulatorService(channel, data, runs)
        async with serving(
            address,
            lambda server: rpc.add_SimulatorServiceServicer_to_server(service, server),
            [SERVICE_NAME],
        ) as port:
            try:
                yield service, port
            finally:
                await service.close()


async def serve(options: argparse.Namespace) -> None:
    """Serve until cancelled."""
    async with simulating(options.address, options.aggregator, options.data, options.runs) as (
        _,
        port,
    ):
        log.info("simulator on port %d", port)
        await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="services.simulator", description=__doc__)
    parser.add_argument("--address", default="0.0.0.0:50052", help="host:port to serve on")
    parser.add_argument("--aggregator", default="localhost:50051", help="host:port")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the results")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(arguments)
    process.tune_allocator()
    process.set_up_logging("simulator", options.log_level)
    process.run(lambda: serve(options))


if __name__ == "__main__":
    main()
