"""Worker containers on all machines of a Docker Swarm, scheduled by services and replicas.

Workers that differ by name alone are the replicas of one service. The Swarm chooses their machines
and replaces a replica that ends or whose machine is lost. Name and secret belong to the replica, so
that the new container has its predecessor's participants.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import docker
import requests
from docker.errors import DockerException, NotFound
from docker.types import ConfigReference, Mount, RestartPolicy, ServiceMode
from docker.types import Resources as Limits

from fedsiege.services.launch import owner
from fedsiege.services.launch.base import (
    Endpoints,
    Fleet,
    FleetFailed,
    Resources,
    Sample,
    WorkerSpec,
)
from fedsiege.services.launch.cgroup import ControlGroup
from fedsiege.services.launch.connection import (
    OWNER_LABEL,
    RUN_LABEL,
    check_is_here,
    connect,
    engine,
    explained,
    find_image,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that the machines get to start all containers; one may have to fetch the image first.
START_PATIENCE = 300.0
#: Seconds between two polls of the replicas.
POLL_EVERY = 0.5
#: How often each replica must have failed, with none running, until the fleet counts as lost.
MOST_FAILURES = 3
#: Seconds that containers get to end by themselves.
GRACE = 5
_FAILED = frozenset({"failed", "rejected", "orphaned", "complete"})
_TASK = "com.docker.swarm.task.id="


@dataclass(frozen=True)
class Group:
    """Workers that are the replicas of one service, in order.

    Attributes:
        workers: replica ``k``, from 1, is ``workers[k - 1]``.
        service: the service's number.
    """

    workers: tuple[WorkerSpec, ...]
    service: str


@dataclass(frozen=True)
class Replica:
    """The state of a worker's newest container in the Swarm.

    Attributes:
        state: running, pending, preparing, failed, ...
        task: the number of this attempt.
        problem: why it does not run; may be empty.
        node: the number of its machine; empty while it has none.
        container: its full number; empty while there is none.
        process: its first process, as its machine numbers them; 0 while there is none.
    """

    state: str
    task: str
    problem: str
    node: str
    container: str
    process: int

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> "Replica":
        """Read a task as the engine's API returns it."""
        status = task["Status"]
        container = status.get("ContainerStatus") or {}
        return cls(
            status["State"],
            task["ID"],
            status.get("Err", ""),
            task.get("NodeID", ""),
            container.get("ContainerID", ""),
            container.get("PID", 0),
        )


class SwarmFleet(Fleet):
    """The worker containers of one run on a Swarm; arguments as for ``Fleet``.

    Its manager gives no way to kill, pause or slow a container on another machine, so there are no
    faults on purpose; nor to see what one uses, so figures are those of this machine's containers.
    """

    def __init__(self, workers: Sequence[WorkerSpec], resources: Resources, data: Path) -> None:
        super().__init__(workers, resources, data)
        self.run = secrets.token_hex(4)
        self._labels = {RUN_LABEL: self.run, OWNER_LABEL: owner.this_process()}
        self._prepared = False
        self._here = ""
        self._pool: ThreadPoolExecutor | None = None
        self._client: docker.DockerClient | None = None
        self._groups: list[Group] = []
        self._control: dict[str, ControlGroup | None] = {}
        self._noted: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._note: Callable[[str], None] = log.info

    def prepare(self) -> str:
        """Find the Swarm and the image, remove leftovers; see ``Fleet``.

        Returns:
            This machine's address in the Swarm.
        """
        if any(worker.certs or worker.tokens for worker in self.workers):
            raise FleetFailed(
                "The workers' certificates and tokens lie on this machine, and a Swarm starts "
                "workers on others too: ENGINE=docker"
            )
        with engine() as client, explained("the Swarm cannot be used"):
            swarm = client.info()["Swarm"]
            if not swarm.get("ControlAvailable"):
                raise FleetFailed(
                    "The Docker engine is no manager of a Swarm; docker swarm init makes it one"
                )
            find_image(client, self.resources.image)  # other machines are asked when they need it
            _remove_leftovers(client)
            self._here = swarm["NodeID"]
            address = str(swarm["NodeAddr"])
        check_is_here(address)
        self._prepared = True
        return address

    async def start(
        self, endpoints: Endpoints, progress: Callable[[int], None], note: Callable[[str], None]
    ) -> None:
        """Create the services and wait until all replicas run; see ``Fleet``."""
        self._note = note
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="swarm")
        self._client = await self._do(connect)
        await self._do(lambda: self._create(endpoints))
        best = 0
        replicas: dict[str, Replica] = {}
        try:
            async with asyncio.timeout(START_PATIENCE):
                while best < len(self.workers):
                    replicas = await self._newest_replicas()
                    running = sum(one.state == "running" for one in replicas.values())
                    if running > best:
                        best = running
                        progress(best)
                    await asyncio.sleep(POLL_EVERY)
        except TimeoutError:
            problems = [one.problem for one in replicas.values() if one.problem]
            why = f": {problems[0]}" if problems else ""
            total = len(self.workers)
            raise FleetFailed(
                f"After {START_PATIENCE:.0f} s only {best} of {total} containers run{why}"
            ) from None
        nodes = Counter(replica.node for replica in replicas.values())
        note(f"the Swarm has {len(self.workers)} containers on {len(nodes)} machines")
        if set(nodes) - {self._here}:
            note("containers.csv has CPU and memory of this machine's containers only")

    def _create(self, endpoints: Endpoints) -> None:
        assert self._client is not None
        mounts = [Mount("/tmp", None, type="tmpfs")]  # noqa: S108
        if self.data.is_dir():
            mounts.append(Mount("/data", str(self.data.resolve()), type="bind", read_only=True))
        configs = [self._config(target, path) for target, path in self.plugins.items()]
        for workers in _interchangeable(self.workers):
            first = workers[0]
            command = ["python", "-m", f"fedsiege.services.{first.kind}"]
            command += first.arguments(endpoints, "/data")
            with explained(f"the service of {first.name} could not be created"):
                service = self._client.services.create(  # type: ignore[no-untyped-call]
                    self.resources.image,
                    _named(command, [worker.name for worker in workers]),
                    name=f"fedsiege-{self.run}-{first.name}",
                    labels=self._labels,
                    container_labels=self._labels,
                    env=[
                        "REPLICA={{.Task.Slot}}",
                        f"FEDSIEGE_SECRET={secrets.token_hex(32)}",
                        *(f"{name}={value}" for name, value in self.environment_of(first).items()),
                    ],
                    mode=ServiceMode("replicated", len(workers)),
                    mounts=mounts,
                    configs=configs,
                    init=True,
                    read_only=True,
                    cap_drop=["ALL"],
                    resources=Limits(
                        cpu_limit=round(self.resources.cpus * 1e9),
                        mem_limit=self.resources.memory_of(first),
                    ),
                    restart_policy=RestartPolicy("any", delay=1_000_000_000),
                    stop_grace_period=GRACE * 1_000_000_000,
                )
            self._groups.append(Group(workers, service.id))

    def _config(self, target: str, path: Path) -> ConfigReference:
        """Send a file to the Swarm; return what puts it into a container at that path."""
        assert self._client is not None
        name = f"fedsiege-{self.run}-{secrets.token_hex(4)}"  # of few letters, not the file's
        with explained(f"the Swarm does not take {path}"):
            created = self._client.configs.create(
                name=name, data=path.read_bytes(), labels=self._labels
            )
        return ConfigReference(str(created.id), name, filename=target, mode=0o444)

    async def watch(self) -> NoReturn:
        """Note replicas that fail; the Swarm itself replaces them. See ``Fleet``."""
        while True:
            replicas = await self._newest_replicas()
            lost = all(self._failures[worker.name] >= MOST_FAILURES for worker in self.workers)
            if lost and not any(one.state == "running" for one in replicas.values()):
                why = next((one.problem for one in replicas.values() if one.problem), "they end")
                raise FleetFailed(f"No container is left, and the Swarm cannot start any: {why}")
            await asyncio.sleep(POLL_EVERY)

    async def _newest_replicas(self) -> dict[str, Replica]:
        """Return each worker's newest container, by name; note those that failed meanwhile."""
        replicas: dict[str, Replica] = {}
        for task, worker in await self._do(self._tasks):
            replica = Replica.of(task)
            replicas[worker.name] = replica  # the newest comes last
            if replica.state in _FAILED and replica.task not in self._noted:
                self._noted.add(replica.task)
                self._failures[worker.name] += 1
                why = f": {replica.problem}" if replica.problem else ""
                self._note(f"container {worker.name} {replica.state}{why}; the Swarm replaces it")
        return replicas

    def _tasks(self) -> list[tuple[dict[str, Any], WorkerSpec]]:
        """List the Swarm's attempts with their workers, oldest first."""
        assert self._client is not None
        workers = {
            (group.service, slot): worker
            for group in self._groups
            for slot, worker in enumerate(group.workers, start=1)
        }
        with explained("the Swarm does not report the state of the containers"):
            services = [group.service for group in self._groups]
            tasks = self._client.api.tasks({"service": services})  # type: ignore[no-untyped-call]
        tasks.sort(key=lambda task: (task["DesiredState"] == "running", task["CreatedAt"]))
        return [(task, workers[task["ServiceID"], task["Slot"]]) for task in tasks]

    async def sample(self) -> list[Sample]:
        """Ask the Swarm once for all states, the kernel for figures; see ``Fleet``."""
        replicas = await self._newest_replicas()
        samples = []
        for worker in self.workers:
            replica = replicas.get(worker.name)
            if replica is None:
                samples.append(Sample(worker.name, "absent"))
                continue
            figures = self._figures(replica) or (None, None)
            samples.append(Sample(worker.name, replica.state, *figures))
        return samples

    def _figures(self, replica: Replica) -> tuple[float, int] | None:
        """Return processor seconds and bytes of a container of this machine; None elsewhere."""
        if replica.node != self._here or replica.state != "running" or not replica.process:
            return None
        if replica.container not in self._control:
            found = ControlGroup.of(replica.process)
            # An engine in a namespace of its own numbers processes in its own way.
            named = found is not None and replica.container in str(found.memory)
            self._control[replica.container] = found if named else None
        group = self._control[replica.container]
        return group.read() if group else None

    def remove(self, logs: Path | None) -> None:
        """Remove the services, and the containers with them; see ``Fleet``."""
        if not self._prepared:
            return
        self._prepared = False
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._client is not None and logs is not None:
            self._save(logs)
        with engine() as client, explained("not everything could be removed"):
            _remove(client, f"{RUN_LABEL}={self.run}")
        if self._client is not None:
            self._client.close()

    def _save(self, logs: Path) -> None:
        """Write the replicas' logs, those of a replaced container before its successor's.

        A machine that is lost keeps its containers' logs; the others' are there.
        """
        names = {task["ID"]: worker.name for task, worker in self._tasks()}
        assert self._client is not None
        for group in self._groups:
            try:
                lines = self._client.api.service_logs(
                    group.service, details=True, stdout=True, stderr=True, is_tty=False
                )
                for line in lines:
                    about, _, text = line.decode(errors="replace").partition(" ")
                    task = about.partition(_TASK)[2].partition(",")[0]
                    if task not in names:  # from the manager: a machine does not answer
                        log.warning("%s %s", about, text.strip())
                        continue
                    with (logs / f"{names[task]}.log").open("a") as file:
                        file.write(text)
            except (DockerException, requests.RequestException, OSError) as error:
                log.warning("logs of %s are incomplete: %s", group.workers[0].name, error)

    async def _do(self, work: Callable[[], T]) -> T:
        """Run a blocking call in the fleet's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _interchangeable(workers: Sequence[WorkerSpec]) -> Iterator[tuple[WorkerSpec, ...]]:
    """Group the workers that differ by name alone."""

    def traits(worker: WorkerSpec) -> tuple[str, int, list[tuple[str, str]]]:
        return worker.kind, worker.participants, sorted(worker.environment.items())

    for _, alike in itertools.groupby(sorted(workers, key=traits), key=traits):
        yield tuple(alike)


def _named(command: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return a command that runs another one under the name of its replica.

    Of the placeholders for a replica a Swarm fills in those in the environment, not those in a
    command; and of two names the last one counts.
    """
    script = f'shift "$((REPLICA - 1))"; exec {shlex.join(command)} --name="$1"'
    return ["sh", "-c", script, "sh", *names]


def _remove_leftovers(client: docker.DockerClient) -> None:
    """Remove the leftovers of runs whose process has ended."""
    label = {"label": OWNER_LABEL}
    for one in (*client.services.list(filters=label), *client.configs.list(filters=label)):
        labels = one.attrs["Spec"]["Labels"]
        if RUN_LABEL in labels and owner.is_gone(labels[OWNER_LABEL]):
            log.info("removing what run %s left", labels[RUN_LABEL])
            _remove(client, f"{RUN_LABEL}={labels[RUN_LABEL]}")


def _remove(client: docker.DockerClient, label: str) -> None:
    for service in client.services.list(filters={"label": label}):
        with contextlib.suppress(NotFound):
            service.remove()  # type: ignore[no-untyped-call]
    for config in client.configs.list(filters={"label": label}):
        with contextlib.suppress(NotFound):
            config.remove()
