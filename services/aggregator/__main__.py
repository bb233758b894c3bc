"""Starts an aggregator: ``python -m services.aggregator --address 0.0.0.0:50051``."""

import argparse
import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from services.wire import process
from services.wire.server import serving

log = logging.getLogger("services.aggregator")

SERVICE_NAME = "fedsiege.v1.AggregatorService"


async def serve(address: str, data: Path, ready: Callable[[int], None]) -> None:
    """Serve until cancelled.

    Args:
        address: ``host:port``; port 0 takes a free one.
        data: the folder of the data sets.
        ready: called with the port once calls are answered.
    """
    # torch costs a second to import: only what serves needs it.
    import torch

    from fedsiege.v1 import aggregator_pb2_grpc as rpc
    from services.aggregator.service import AggregatorService

    torch.set_num_threads(1)
    service = AggregatorService(data)

    async with serving(
        address,
        lambda server: rpc.add_AggregatorServiceServicer_to_server(service, server),
        [SERVICE_NAME],
    ) as port:
        log.info("aggregator on port %d", port)
        ready(port)
        try:
            await asyncio.Event().wait()
        finally:
            await service.close()


def main(
    arguments: Sequence[str] | None = None, ready: Callable[[int], None] = lambda _: None
) -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="services.aggregator", description=__doc__)
    parser.add_argument("--address", default="0.0.0.0:50051", help="host:port to serve on")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(arguments)
    process.tune_allocator()
    process.set_up_logging("aggregator", options.log_level)
    process.run(lambda: serve(options.address, options.data, ready))


if __name__ == "__main__":
    main()
