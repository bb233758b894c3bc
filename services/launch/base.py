"""The interface of an engine that runs worker containers.

Aggregator and simulator run on this machine; only the workers are containers, which dial out to
both. ``docker.py`` is the engine of this machine, ``swarm.py`` one that spans several.
"""

import abc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NoReturn

from fedsiege import plugins
from fedsiege.errors import FedSiegeError
from fedsiege.experiment.faults import Fault


class FleetFailed(FedSiegeError):
    """The engine cannot run the worker containers; the message says why."""


@dataclass(frozen=True)
class WorkerSpec:
    """A worker to start.

    Attributes:
        name: the worker's name, unique in the fleet, which is ordered by name.
        kind: the service that it runs, "client" or "attacker".
        participants: number of participants that it hosts, 1 or more.
        environment: its own environment variables, besides those of the image and its secret.
        tokens: its file of enrolment tokens, mounted read-only; None for none.
        certs: its bundle, mounted read-only; None for none.
    """

    name: str
    kind: Literal["client", "attacker"]
    participants: int
    environment: Mapping[str, str] = field(default_factory=dict)
    tokens: Path | None = None
    certs: Path | None = None

    def arguments(
        self,
        endpoints: "Endpoints",
        data: str,
        *,
        tokens: str | None = None,
        certs: str | None = None,
    ) -> list[str]:
        """Return the command line of the worker's ``main``, as a container and a process have it.

        Args:
            endpoints: the addresses of the services.
            data: the path of the folder of data sets, for the worker.
            tokens: the path of the file of tokens, for the worker; None for none.
            certs: the path of the bundle, for the worker; None for none.
        """
        return [
            f"--name={self.name}",
            f"--participants={self.participants}",
            f"--aggregator={endpoints.aggregator}",
            f"--simulator={endpoints.simulator}",
            f"--data={data}",
            *([f"--tokens={tokens}"] if tokens else []),
            *([f"--certs={certs}"] if certs else []),
        ]


@dataclass(frozen=True)
class Resources:
    """The limits of one client container; the attacker's has four times the memory.

    Attributes:
        image: the image of all services.
        memory: the limit of memory, in bytes.
        cpus: the limit of processors, which may be a fraction.
    """

    image: str = "fedsiege:latest"
    memory: int = 1 << 30
    cpus: float = 1.0

    def memory_of(self, worker: WorkerSpec) -> int:
        """Return the memory limit of a worker, bytes; one attacker hosts all fakes."""
        return self.memory * (4 if worker.kind == "attacker" else 1)


@dataclass(frozen=True)
class Endpoints:
    """The addresses of the services for the workers, as ``host:port``."""

    aggregator: str
    simulator: str


@dataclass(frozen=True)
class Sample:
    """The state of one container at one moment.

    Attributes:
        container: the worker's name.
        state: its state in the engine's words: running, paused, exited, ...
        cpu_seconds: processor time since the container last started; None while it does not run.
        memory: bytes in use without page cache that can be dropped; None while it does not run.
    """

    container: str
    state: str
    cpu_seconds: float | None = None
    memory: int | None = None


class Fleet(abc.ABC):
    """The worker containers of one run.

    Call ``prepare``, then the coroutines while the run lasts, then ``remove``, also after errors.

    Args:
        workers: the workers to start.
        resources: the limits of each.
        data: the folder of the data sets, mounted read-only.

    Attributes:
        plugins: the plug-in files of this process, which the workers load too, by their path in a
            container. They are there read-only.
    """

    #: Faults that this engine can make on purpose.
    faults: ClassVar[frozenset[Fault]] = frozenset()

    def __init__(self, workers: Sequence[WorkerSpec], resources: Resources, data: Path) -> None:
        self.workers = tuple(workers)
        self.resources = resources
        self.data = data
        self.plugins = {
            f"/plugins/{number}/{path.name}": path
            for number, path in enumerate(plugins.files(), start=1)
        }

    def environment_of(self, worker: WorkerSpec) -> dict[str, str]:
        """Return the environment variables of a worker, besides those of the image."""
        files = {plugins.VARIABLE: os.pathsep.join(self.plugins)} if self.plugins else {}
        return {**files, **worker.environment}

    @abc.abstractmethod
    def prepare(self) -> str:
        """Find the engine and the image, remove leftovers of killed runs, create a network.

        Blocks. Call it before any thread or event loop exists: the services are forked after it.

        Returns:
            The address of this machine that the services must listen on to be reached.

        Raises:
            FleetFailed: the engine or the image cannot be used; nothing is left behind.
        """

    @abc.abstractmethod
    async def start(
        self, endpoints: Endpoints, progress: Callable[[int], None], note: Callable[[str], None]
    ) -> None:
        """Start all containers.

        Args:
            endpoints: the addresses of the services.
            progress: called with the number of started containers, from 1 to all.
            note: called with messages, also later.

        Raises:
            FleetFailed: a container could not be started.
        """

    @abc.abstractmethod
    async def watch(self) -> NoReturn:
        """Report containers that end unexpectedly and start them again; never return.

        Raises:
            FleetFailed: the fleet cannot go on.
        """

    @abc.abstractmethod
    async def sample(self) -> list[Sample]:
        """Return a sample of every container, in the order of the workers; it must be fast."""

    async def strike(self, container: str, fault: Fault) -> bool:
        """Make a fault in a container.

        Args:
            container: the worker's name.
            fault: one of ``faults``.

        Returns:
            Whether the fault was made; False if the container does not run.

        Raises:
            FleetFailed: the engine reported an error.
        """
        raise NotImplementedError

    async def relieve(self, container: str, fault: Fault) -> None:
        """End a fault: start, unpause or speed up the container; do nothing without a fault.

        Raises:
            FleetFailed: the engine reported an error.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def remove(self, logs: Path | None) -> None:
        """Remove all containers and networks of this run. It blocks; a second call does nothing.

        Args:
            logs: the folder to write each container's log to, as ``<name>.log``; None to drop them.
        """
