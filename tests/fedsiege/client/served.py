"""Servers in a thread of their own, for clients that block, and a line to them that can be cut."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fedsiege.services.aggregator.service import AggregatorService
from fedsiege.services.attacker.participants import HostileParticipants
from fedsiege.services.client.participants import BenignParticipants
from fedsiege.services.identity.identity import Identity
from fedsiege.services.identity.tls import Tls
from fedsiege.services.rpc.guard import Guard, Limits
from fedsiege.services.rpc.server import serving
from fedsiege.services.simulator.__main__ import simulating
from fedsiege.services.simulator.service import CONTROL, PARTICIPANT
from fedsiege.services.worker.worker import Worker
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

DATA = Path(os.environ.get("FEDSIEGE_DATA", "data"))
HOST = "127.0.0.1"
T = TypeVar("T")


class Background:
    """An event loop in a thread, which holds servers until the test ends."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack = AsyncExitStack()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def enter(self, context: Any) -> Any:
        """Enter an asynchronous context, which is left when the test ends."""
        return self.do(self._stack.enter_async_context(context))

    def close(self) -> None:
        self.do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """End the servers, and wait for what they still write."""
        await self._stack.aclose()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if rest:
            await asyncio.wait(rest)

    def federation(self, runs: Path, *, workers: bool = True) -> str:
        """Serve aggregator and simulator, with workers for 20 participants of each kind."""
        return str(self.enter(_federation(runs, workers)))

    def simulator(self, servicer: rpc.SimulatorServiceServicer, *, tls: Tls | None = None) -> str:
        """Serve a simulator that the test has written."""
        port = self.enter(
            serving(
                f"{HOST}:0",
                lambda server: rpc.add_SimulatorServiceServicer_to_server(servicer, server),
                [],
                tls=tls,
                guard=Guard(Limits(), control=CONTROL, participant=PARTICIPANT),
            )
        )
        return f"localhost:{port}"

    def line(self, address: str) -> "Line":
        """Return a line to a server, open."""
        line: Line = self.enter(_line(address))
        return line


@contextmanager
def background() -> Iterator[Background]:
    made = Background()
    try:
        yield made
    finally:
        made.close()


@asynccontextmanager
async def _federation(runs: Path, workers: bool) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        aggregator = AggregatorService(DATA)
        port = await stack.enter_async_context(
            serving(
                f"{HOST}:0",
                lambda server: data_rpc.add_AggregatorServiceServicer_to_server(aggregator, server),
                [],
            )
        )
        stack.push_async_callback(aggregator.close)
        _, simulator = await stack.enter_async_context(
            simulating(f"{HOST}:0", f"{HOST}:{port}", DATA, runs)
        )
        for name, kind, participants in (
            ("benign", pb.WORKER_KIND_CLIENT, BenignParticipants),
            ("hostile", pb.WORKER_KIND_ATTACKER, HostileParticipants),
        ):
            if not workers:
                continue
            worker = Worker(
                pb.Hello(worker=name, kind=kind, capacity=20, version="test"),
                lambda participants=participants: participants(DATA),
                f"{HOST}:{simulator}",
                f"{HOST}:{port}",
                Identity(name, f"the secret of {name}".encode()),
            )
            stack.push_async_callback(_cancel, asyncio.create_task(worker.run()))
        yield f"{HOST}:{simulator}"


async def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait([task])


class Line:
    """A TCP connection to a server through a port of its own, which can be cut and restored."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"{HOST}:{self._port}"

    async def restore(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End all connections, and accept none."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            await _cancel(task)

    async def cut_for(self, seconds: float) -> None:
        await self.cut()
        self._restoring = asyncio.create_task(self._restore_after(seconds))

    async def _restore_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.restore()

    async def _accept(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        host, _, port = self.target.rpartition(":")
        try:
            far, to_far = await asyncio.open_connection(host, int(port))
        except OSError:
            to_near.close()
            self._tasks.discard(task)
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass_on(near, to_far))
                both.create_task(_pass_on(far, to_near))
        except asyncio.CancelledError:
            pass
        finally:
            to_near.transport.abort()
            to_far.transport.abort()
            self._tasks.discard(task)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()


@asynccontextmanager
async def _line(address: str) -> AsyncIterator[Line]:
    line = Line(address)
    await line.restore()
    try:
        yield line
    finally:
        await line.cut()
