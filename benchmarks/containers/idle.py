"""Idle streams, each over a connection of its own.

``python -m benchmarks.containers.idle attach --address simulator:50052 --streams 5000`` prints
``open N`` when all streams are open, and keeps them open until it is terminated. It exits with
status 1 if a stream ends.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from fedsiege.services.rpc import process
from fedsiege.services.rpc.channel import channel_options
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

#: Connections that are opened at the same time.
_AT_ONCE = 100


def main() -> None:
    """Open the streams and keep them open."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=["attach", "watch"])
    parser.add_argument("--address", required=True, help="host:port")
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--federation", default="", help="which to watch")
    options = parser.parse_args()
    process.run(lambda: _hold(options))


async def _hold(options: argparse.Namespace) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)
    opened = [asyncio.Event() for _ in range(options.streams)]
    streams = [
        asyncio.create_task(_stream(number, options, turns, opened[number]))
        for number in range(options.streams)
    ]
    announcing = asyncio.create_task(_announce(opened))
    over, _ = await asyncio.wait(streams, return_when=asyncio.FIRST_COMPLETED)
    announcing.cancel()
    sys.exit(f"{len(over)} streams ended; the first: {over.pop().result()}")


async def _announce(opened: Sequence[asyncio.Event]) -> None:
    for one in opened:
        await one.wait()
    print(f"open {len(opened)}", flush=True)


async def _stream(
    number: int, options: argparse.Namespace, turns: asyncio.Semaphore, opened: asyncio.Event
) -> str:
    """Keep a stream open until it ends; return its status."""
    # Without this option all channels of a process share one connection.
    own = [*channel_options(options.address), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(options.address, options=own) as channel:
        async with turns:
            call: Any
            if options.method == "watch":
                request = data_pb.WatchRoundsRequest(federation_id=options.federation)
                call = data_rpc.AggregatorServiceStub(channel).WatchRounds(request)
                await call.read()
            else:
                call = rpc.SimulatorServiceStub(channel).Attach(_hello(number))
                await call.wait_for_connection()
        opened.set()
        return f"{await call.code()}: {await call.details()}"


async def _hello(number: int) -> AsyncIterator[pb.AttachRequest]:
    yield pb.AttachRequest(
        hello=pb.Hello(worker=f"idle-{number}", kind=pb.WORKER_KIND_CLIENT, capacity=1)
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
