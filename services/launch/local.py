"""All four services on this machine, over real gRPC: what ``make sim`` runs.

The simulator runs in this process; aggregator, clients and attackers are forked from it after
torch has been imported once, which costs a second of processor time each otherwise. Every child
runs the same ``main`` as its container does.
"""

import asyncio
import contextlib
import ctypes
import importlib
import json
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from fedsiege.errors import FedSiegeError
from fedsiege.services.launch.base import Endpoints, WorkerSpec
from fedsiege.services.launch.credentials import Credentials
from fedsiege.services.simulator.__main__ import simulating
from fedsiege.services.simulator.service import SimulatorService

log = logging.getLogger(__name__)

#: Seconds that a child gets to end by itself before it is killed.
_GRACE = 8.0
#: Seconds that the aggregator gets to answer.
_START_PATIENCE = 60.0
_PR_SET_PDEATHSIG = 1


class ServiceDied(FedSiegeError):
    """A service ended unexpectedly."""


@dataclass(frozen=True)
class Ports:
    """The ports of the services on this machine; 0 for a free one."""

    aggregator: int = 0
    simulator: int = 0


def even_shares(total: int, parts: int) -> list[int]:
    """Split a total into parts that differ by at most 1, the larger ones first."""
    return [total // parts + (number < total % parts) for number in range(parts)]


def local_workers(clients: int, processes: int, attackers: int) -> list[WorkerSpec]:
    """Return the workers of this machine.

    Args:
        clients: benign participants.
        processes: how many processes share them.
        attackers: hostile participants, all in one process.
    """
    shares = even_shares(clients, processes)
    workers = [WorkerSpec(f"client-{n}", "client", share) for n, share in enumerate(shares, 1)]
    workers.append(WorkerSpec("attacker-1", "attacker", attackers))
    return [worker for worker in workers if worker.participants]


class Child:
    """A service in a process of its own: forked now, started by ``begin``.

    Args:
        name: the name in messages and of the log file.
        module: the package whose ``__main__`` it runs.
    """

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.log_file = Path(f"{name}.log")
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_run_child, args=(module, theirs), name=name, daemon=True
        )
        self._process.start()
        theirs.close()

    def begin(self, logs: Path, *arguments: str) -> None:
        """Send the folder for its log and the command line; the service starts."""
        self.log_file = logs / f"{self.name}.log"
        self._pipe.send_bytes(json.dumps([str(self.log_file), *arguments]).encode())

    async def port(self) -> int:
        """Wait until the service listens; return its port."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._pipe.fileno(), readable.set)
        try:
            async with asyncio.timeout(_START_PATIENCE):
                await readable.wait()
            return int(self._pipe.recv_bytes())
        except (EOFError, TimeoutError):
            raise ServiceDied(f"{self.name} did not start; see {self.log_file}") from None
        finally:
            loop.remove_reader(self._pipe.fileno())

    async def wait_for_exit(self) -> None:
        """Wait until the process ends.

        Raises:
            ServiceDied: always, once it has.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        raise ServiceDied(
            f"{self.name} ended with status {self._process.exitcode}; see {self.log_file}"
        )

    async def stop(self) -> None:
        """Terminate the process; kill it after the grace time."""
        if self._process.is_alive():
            self._process.terminate()
            await asyncio.to_thread(self._process.join, _GRACE)
        if self._process.is_alive():
            log.warning("%s did not end; killed", self.name)
            self._process.kill()
            await asyncio.to_thread(self._process.join)


def _run_child(module: str, pipe: Connection) -> None:
    """Run a service in a child process until it ends."""
    # A session of its own: Ctrl-C reaches the parent alone, which then ends all services in order.
    # The signal ends the child if the parent is killed.
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        log_file, *arguments = json.loads(pipe.recv_bytes())
    except EOFError:
        return
    with Path(log_file).open("ab", buffering=0) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    main = importlib.import_module(f"{module}.__main__").main
    if module == "fedsiege.services.aggregator":
        main(arguments, ready=lambda port: pipe.send_bytes(str(port).encode()))
    else:
        main(arguments)


class LocalServices:
    """The service processes of a federation on this machine.

    Create it before any event loop or thread: it forks.


    Args:
        workers: the workers; none for the two servers alone, for workers that run elsewhere.
        data: the folder of the data sets.
        runs: where results folders are created.
        logs: the folder for the services' logs; created when they start.
        ports: where to listen.
        host: the address to listen on, one that can be called too, so not 0.0.0.0.
        credentials: of aggregator and simulator; None where enrolment is open. The workers'
            stand in their ``WorkerSpec``.
        init_files: files that the aggregator may begin a federation with, wherever they are.
    """

    def __init__(
        self,
        workers: Sequence[WorkerSpec],
        data: Path,
        runs: Path = Path("runs"),
        logs: Path = Path("runs/logs"),
        ports: Ports | None = None,
        host: str = "127.0.0.1",
        credentials: Credentials | None = None,
        init_files: Sequence[Path] = (),
    ) -> None:
        self._data = data
        self.write_to(runs, logs)
        self._ports, self.host = ports or Ports(), host
        self._credentials = credentials or Credentials()
        self._init_files = init_files
        self._aggregator = Child("aggregator", "fedsiege.services.aggregator")
        self._workers = [
            (Child(worker.name, f"fedsiege.services.{worker.kind}"), worker) for worker in workers
        ]

    def write_to(self, runs: Path, logs: Path) -> None:
        """Set where results and logs go; before the services run."""
        self._runs, self._logs = runs, logs

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[SimulatorService, Ports]]:
        """Run all services while the block runs.

        Raises:
            ServiceDied: a service ended before the block did.
        """
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            self._aggregator.begin(
                self._logs,
                f"--address={self.host}:{self._ports.aggregator}",
                f"--data={self._data}",
                *(f"--init-file={file}" for file in self._init_files),
                *self._credentials.aggregator,
            )
            port = await self._aggregator.port()
            aggregator = f"{self.host}:{port}"
            address = f"{self.host}:{self._ports.simulator}"
            async with simulating(
                address, aggregator, self._data, self._runs, tls=self._credentials.tls()
            ) as (service, simulator_port):
                endpoints = Endpoints(aggregator, f"{self.host}:{simulator_port}")
                for child, worker in self._workers:
                    proofs = {
                        "tokens": str(worker.tokens) if worker.tokens else None,
                        "certs": str(worker.certs) if worker.certs else None,
                    }
                    child.begin(self._logs, *worker.arguments(endpoints, str(self._data), **proofs))
                yield service, Ports(port, simulator_port)
        finally:
            await self.stop()

    async def wait_for_exit(self) -> None:
        """Wait until any service ends.

        Raises:
            ServiceDied: which one.
        """
        watchers = [asyncio.create_task(child.wait_for_exit()) for child in self._children()]
        try:
            await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
            for watcher in watchers:
                if watcher.done():
                    await watcher
        finally:
            for watcher in watchers:
                watcher.cancel()

    def _children(self) -> list[Child]:
        return [self._aggregator, *(child for child, _ in self._workers)]

    async def stop(self) -> None:
        """End all processes, workers first."""
        await asyncio.gather(*(child.stop() for child, _ in self._workers))
        await self._aggregator.stop()
