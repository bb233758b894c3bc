"""A model of any size behind the real aggregator service, and workers that pull it.

FedSiege's own models are small, so a federation with a synthetic model is put into the service.
All else is as in any federation::

    python -m benchmarks.large_model serve --mebibytes 64
    python -m benchmarks.large_model pull --address 127.0.0.1:50051 --mebibytes 64 --pulls 10

``serve`` prints ``port N``, ``pull`` the seconds of each pull as JSON on its last line. A pull
before them, which opens connections and allocates memory, is not counted.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import grpc
import numpy as np

from fedsiege.services.rpc import process
from fedsiege.services.rpc.channel import channel_options
from fedsiege.services.rpc.pulling import ModelStream
from fedsiege.services.rpc.server import serving
from fedsiege.services.rpc.tensors import FLOAT_BYTES
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

_FEDERATION = "large"
_UNCOUNTED = 1


def main() -> None:
    """Parse the command line, then serve or pull."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["serve", "pull"])
    parser.add_argument("--mebibytes", type=int, required=True, help="size of the model")
    parser.add_argument("--address", help="host:port of the server")
    parser.add_argument("--workers", type=int, default=1, help="workers that pull at the same time")
    parser.add_argument("--pulls", type=int, default=10, help="pulls of each worker")
    options = parser.parse_args()
    process.tune_allocator()
    size = (options.mebibytes << 20) // FLOAT_BYTES
    if options.role == "serve":
        process.run(lambda: _serve(size))
    else:
        seconds = asyncio.run(_pull(options.address, size, options.workers, options.pulls))
        print(json.dumps({"seconds": seconds}))


def _register_flat() -> None:
    """Register a model of one parameter of any size, which is never evaluated."""
    import torch
    from torch import nn

    from fedsiege import models

    @models.register
    @dataclass(frozen=True)
    class Flat(models.Model):
        """Hold one parameter."""

        name: ClassVar[str] = "flat"
        summary: ClassVar[str] = "one parameter"
        size: int = 1

        def build(self, inputs: object) -> nn.Module:
            """Return a module of one parameter."""
            module = nn.Module()
            module.weights = nn.Parameter(torch.empty(self.size))
            return module


async def _serve(size: int) -> None:
    # These import torch, which ``pull`` does not need.
    from fedsiege import models, rules
    from fedsiege.services.aggregator.federation import Federation
    from fedsiege.services.aggregator.service import AggregatorService
    from fedsiege.training.evaluation import Evaluator

    _register_flat()
    weights = np.random.default_rng(0).standard_normal(size, np.float32)
    service = AggregatorService(Path("data"))
    # The model is never evaluated here, so the evaluator is missing.
    service._federations[_FEDERATION] = Federation(
        _FEDERATION,
        pb.FederationSpec(),
        models.Classifier(f"flat:size={size}"),
        weights,
        rules.create("fedavg"),
        cast("Evaluator", None),
    )

    def register(server: grpc.aio.Server) -> None:
        rpc.add_AggregatorServiceServicer_to_server(service, server)

    async with serving("127.0.0.1:0", register, ["fedsiege.v1.AggregatorService"]) as port:
        print("port", port, flush=True)
        await asyncio.Event().wait()


async def _pull(address: str, size: int, workers: int, pulls: int) -> Sequence[float]:
    """Let all workers pull at once; return the seconds until the last one is done, per pull."""
    # Each worker has a connection of its own, as if it were a process of its own.
    options = [*channel_options(address), ("grpc.use_local_subchannel_pool", 1)]
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(workers):
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(address, options=options)
            )
            await asyncio.wait_for(channel.channel_ready(), timeout=30)
            streams.append(ModelStream(rpc.AggregatorServiceStub(channel)))
        seconds = []
        for _ in range(pulls + _UNCOUNTED):
            started = time.perf_counter()
            await asyncio.gather(*(stream.pull(_FEDERATION, 0, size) for stream in streams))
            seconds.append(time.perf_counter() - started)
        return seconds[_UNCOUNTED:]


if __name__ == "__main__":
    main()
