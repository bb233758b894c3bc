"""The interface of an engine that runs worker containers.

Aggregator and simulator run on this machine; only the workers are containers, which dial out to
both. ``docker.py`` is the engine of this machine, ``swarm.py`` one that spans several.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NoReturn

from fedsiege.errors import FedSiegeError
from fedsiege.experiment.faults import Fault


class FleetFailed(FedSiegeError):
    """The engine cannot run the worker containers; the message says why."""


@dataclass(frozen=True)
class WorkerSpec:
    """A worker to start.

    Attributes:
        name: the worker's, unique in the fleet; sorting by name gives the order of the fleet.
        kind: which ``main`` it runs, ``services.client`` or ``services.attacker``.
        participants: how many it hosts, 1 or more.
        environment: variables of its own, beside those of the image and its secret.
        tokens: its file of enrolment tokens, mounted read-only; None for none.
        certs: its bundle of certificates, likewise.
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
            endpoints: where the services are.
            data: the folder of the data sets, as the worker sees it.
            tokens: the file of tokens, as the worker sees it; None for none.
            certs: the bundle, likewise.
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
    """What one client container may use; the attacker's may use four times the memory.

    Attributes:
        image: the image of all services.
        memory: bytes.
        cpus: processors, a fraction counts.
    """

    image: str = "fedsiege:latest"
    memory: int = 1 << 30
    cpus: float = 1.0

    def memory_of(self, worker: WorkerSpec) -> int:
        """Return the memory limit of a worker, bytes; one attacker hosts all fakes."""
        return self.memory * (4 if worker.kind == "attacker" else 1)


@dataclass(frozen=True)
class Endpoints:
    """Where the containers reach the services, as ``host:port``."""

    aggregator: str
    simulator: str


@dataclass(frozen=True)
class Sample:
    """The state of one container at one moment.

    Attributes:
        container: the worker's name.
        state: as the engine says: running, paused, exited, ...
        cpu_seconds: processor time since the container last started; None while it does not run.
        memory: bytes in use, page cache that can be dropped left out; None while it does not run.
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
        resources: what each may use.
        data: the folder of the data sets, mounted read-only.
    """

    #: Faults that this engine can make on purpose.
    faults: ClassVar[frozenset[Fault]] = frozenset()

    def __init__(self, workers: Sequence[WorkerSpec], resources: Resources, data: Path) -> None:
        self.workers = tuple(workers)
        self.resources = resources
        self.data = data

    @abc.abstractmethod
    def prepare(self) -> str:
        """Find the engine and the image, remove leftovers of killed runs, create a network.

        Blocks. Call it before any thread or event loop exists: the services are forked after it.

        Returns:
            The address of this machine that the services must listen on to be reached.

        Raises:
            FleetFailed: it is not possible; nothing is left behind.
        """

    @abc.abstractmethod
    async def start(
        self, endpoints: Endpoints, progress: Callable[[int], None], note: Callable[[str], None]
    ) -> None:
        """Start all containers.

        Args:
            endpoints: where the services are.
            progress: called with how many have been started, from 1 to all of them.
            note: called with messages for people, also later.

        Raises:
            FleetFailed: one could not be started.
        """

    @abc.abstractmethod
    async def watch(self) -> NoReturn:
        """Note containers that end unexpectedly, and start them again; never return.

        Raises:
            FleetFailed: the fleet cannot go on.
        """

    @abc.abstractmethod
    async def sample(self) -> list[Sample]:
        """Sample every container once, cheaply; in the order of the workers."""

    async def strike(self, container: str, fault: Fault) -> bool:
        """Make a fault.

        Args:
            container: the worker's name.
            fault: one of ``faults``.

        Returns:
            Whether it took effect; not if the container does not run at the moment.

        Raises:
            FleetFailed: the engine refused.
        """
        raise NotImplementedError

    async def relieve(self, container: str, fault: Fault) -> None:
        """End a fault: start again what was killed, and so on; nothing where there is none.

        Raises:
            FleetFailed: the engine refused.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def remove(self, logs: Path | None) -> None:
        """Remove all of this run's containers and networks. Blocking; a second time does nothing.

        Args:
            logs: the folder to write each container's log to, as ``<name>.log``; None to drop them.
        """
