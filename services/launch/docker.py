"""Worker containers on this machine's Docker engine, through the Docker SDK for Python.

Every container and the network of a run carry two labels: the run, by which they are found and
removed, and the process that made them, by which the next run finds what a killed one left.
"""

import asyncio
import collections
import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount

from fedsiege.experiment.faults import Fault
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
    AT_ONCE,
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

#: How often a container that ends by itself is started again.
MOST_RESTARTS = 3
#: Microseconds over which the kernel counts a container's share of the processors.
_PERIOD = 100_000
#: Of one processor, what a slowed container gets.
SLOWED_TO = 0.03
_CONFLICT = 409


class DockerFleet(Fleet):
    """The worker containers of one run on this machine's engine; arguments as for ``Fleet``."""

    faults = frozenset(Fault)

    def __init__(self, workers: Sequence[WorkerSpec], resources: Resources, data: Path) -> None:
        super().__init__(workers, resources, data)
        self.run = secrets.token_hex(4)
        self._labels = {RUN_LABEL: self.run, OWNER_LABEL: owner.this_process()}
        self._network = f"fedsiege-{self.run}"
        self._prepared = False
        self._pool: ThreadPoolExecutor | None = None
        self._client: docker.DockerClient | None = None
        self._containers: dict[str, Container] = {}
        self._groups: dict[str, ControlGroup] = {}
        self._killed: collections.Counter[str] = collections.Counter()
        self._restarts: collections.Counter[str] = collections.Counter()
        self._endings: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._events: Any = None  # the SDK's stream, which its stubs do not name
        self._note: Callable[[str], None] = log.info

    # --- start

    def prepare(self) -> str:
        """Find the engine and the image, remove leftovers, create the network; see ``Fleet``."""
        with engine() as client:
            find_image(client, self.resources.image)
            _remove_leftovers(client)
            self._prepared = True
            try:
                with explained("the network could not be created"):
                    # Internal: the containers reach this machine and nothing beyond it.
                    network = client.networks.create(
                        self._network, driver="bridge", internal=True, labels=self._labels
                    )
                    network.reload()
                gateway = str(network.attrs["IPAM"]["Config"][0]["Gateway"])
                check_is_here(gateway)
            except BaseException:
                self.remove(None)
                raise
        return gateway

    # --- run

    async def start(
        self, endpoints: Endpoints, progress: Callable[[int], None], note: Callable[[str], None]
    ) -> None:
        """Start all containers, some at a time; see ``Fleet``."""
        self._note = note
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="docker")
        self._client = await self._do(connect)
        await self._do(partial(self._listen, asyncio.get_running_loop()))
        starting = [
            asyncio.create_task(self._do(partial(self._start_one, worker, endpoints)))
            for worker in self.workers
        ]
        try:
            for count, started in enumerate(asyncio.as_completed(starting), start=1):
                await started
                progress(count)
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
        if len(self._groups) < len(self.workers):
            note("containers.csv has no CPU and memory: the control groups are not to be seen")

    def _start_one(self, worker: WorkerSpec, endpoints: Endpoints) -> None:
        assert self._client is not None
        mounts = []
        if self.data.is_dir():
            mounts.append(Mount("/data", str(self.data.resolve()), type="bind", read_only=True))
        credentials = [("/tokens", worker.tokens), ("/certs", worker.certs)]
        for target, source in (*credentials, *self.plugins.items()):
            if source is not None:
                mounts.append(Mount(target, str(source.resolve()), type="bind", read_only=True))
        arguments = worker.arguments(
            endpoints,
            "/data",
            tokens="/tokens" if worker.tokens else None,
            certs="/certs" if worker.certs else None,
        )
        with explained(f"the container of {worker.name} could not be started"):
            container = self._client.containers.create(
                self.resources.image,
                ["python", "-m", f"fedsiege.services.{worker.kind}", *arguments],
                name=f"{self._network}-{worker.name}",
                hostname=worker.name[:63],
                labels={**self._labels, "fedsiege.worker": worker.name},
                # A secret that lasts as long as the container: after a restart its participants
                # keep their indices.
                environment={
                    "FEDSIEGE_SECRET": secrets.token_hex(32),
                    **self.environment_of(worker),
                },
                network=self._network,
                mounts=mounts,
                init=True,
                read_only=True,
                tmpfs={"/tmp": ""},  # noqa: S108
                cap_drop=["ALL"],
                security_opt=["no-new-privileges:true"],
                mem_limit=self.resources.memory_of(worker),
                # Not nano_cpus, which the engine would not let be changed.
                cpu_period=_PERIOD,
                cpu_quota=round(self.resources.cpus * _PERIOD),
                log_config=LogConfig(type="json-file", config={"max-size": "10m"}),
            )
            self._containers[worker.name] = container
            container.start()
            container.reload()
        group = ControlGroup.of(container.attrs["State"]["Pid"])
        if group is not None:
            self._groups[worker.name] = group

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a thread that passes on the engine's event of every container that ends."""
        assert self._client is not None
        filters = {"type": "container", "event": "die", "label": f"{RUN_LABEL}={self.run}"}
        events = self._events = self._client.events(decode=True, filters=filters)

        def pass_on() -> None:
            with contextlib.suppress(RuntimeError, DockerException, OSError):
                # RuntimeError: the loop is closed; the others: the line to the engine is
                for event in events:
                    loop.call_soon_threadsafe(self._endings.put_nowait, event)
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._endings.put_nowait, None)

        threading.Thread(target=pass_on, name="docker-events", daemon=True).start()

    async def watch(self) -> NoReturn:
        """Restart containers that end unexpectedly, a few times each; see ``Fleet``."""
        left = {worker.name for worker in self.workers if worker.kind == "client"}
        while True:
            event = await self._endings.get()
            if event is None:
                raise FleetFailed("The Docker engine has gone away")
            about = event["Actor"]["Attributes"]
            name = about["fedsiege.worker"]
            if self._killed[name] > 0:
                self._killed[name] -= 1
                continue
            why = await self._do(partial(self._explain_end, name, about["exitCode"]))
            if self._restarts[name] < MOST_RESTARTS:
                self._restarts[name] += 1
                self._note(f"container {name} {why}; started again")
                await self._do(partial(self._start_again, name))
                continue
            self._note(f"container {name} {why}; it ended {MOST_RESTARTS + 1} times and stays down")
            left.discard(name)
            if not left:
                raise FleetFailed(f"No client container is left; the last to end, {name}, {why}")

    def _explain_end(self, name: str, status: str) -> str:
        """Return how a container ended, as a phrase for messages."""
        container = self._containers[name]
        try:
            container.reload()
            memory = bool(container.attrs["State"]["OOMKilled"])
            lines = container.logs(tail=1).decode(errors="replace").strip()
        except (DockerException, OSError) as error:
            return f"ended with status {status} ({error})"
        if memory:
            return f"was killed for using more memory than its limit (status {status})"
        return f"ended with status {status}" + (f": {lines}" if lines else "")

    async def sample(self) -> list[Sample]:
        """Ask the engine once for all states, the kernel for the figures; see ``Fleet``."""
        assert self._client is not None
        client = self._client
        label = {"label": f"{RUN_LABEL}={self.run}"}
        with explained("the engine does not report the state of the containers"):
            listed = await self._do(lambda: client.api.containers(all=True, filters=label))
        states = {one["Labels"]["fedsiege.worker"]: one["State"] for one in listed}
        samples = []
        for worker in self.workers:
            group = self._groups.get(worker.name)
            used = group.read() if group else None
            figures = used or (None, None)
            samples.append(Sample(worker.name, states.get(worker.name, "absent"), *figures))
        return samples

    # --- faults

    async def strike(self, container: str, fault: Fault) -> bool:
        """Kill, pause or slow a container; see ``Fleet``."""
        found = self._containers[container]
        match fault:
            case Fault.KILL:
                self._killed[container] += 1
                struck = await self._do(partial(_try, found.kill))
                if not struck:
                    self._killed[container] -= 1
            case Fault.PAUSE:
                struck = await self._do(partial(_try, found.pause))
            case Fault.SLOW:
                quota = round(SLOWED_TO * _PERIOD)
                struck = await self._do(partial(_try, partial(found.update, cpu_quota=quota)))
        return struck

    async def relieve(self, container: str, fault: Fault) -> None:
        """Start, unpause or give the processors back; see ``Fleet``."""
        found = self._containers[container]
        match fault:
            case Fault.KILL:
                await self._do(partial(self._start_again, container))
            case Fault.PAUSE:
                await self._do(partial(_unpause, found))
            case Fault.SLOW:
                quota = round(self.resources.cpus * _PERIOD)
                await self._do(partial(_try, partial(found.update, cpu_quota=quota)))

    def _start_again(self, name: str) -> None:
        with explained(f"container {name} could not be started again"):
            self._containers[name].start()

    # --- end

    def remove(self, logs: Path | None) -> None:
        """Remove containers and network, however far it all had come; see ``Fleet``."""
        if not self._prepared:
            return
        self._prepared = False
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)  # none may be created from here on
        if self._events is not None:
            self._events.close()
        with engine() as client:
            _remove(client, f"{RUN_LABEL}={self.run}", logs)
        if self._client is not None:
            self._client.close()

    async def _do(self, work: Callable[[], T]) -> T:
        """Run a blocking call in one of the fleet's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _try(act: Callable[[], object]) -> bool:
    """Call ``act`` on a container; return False if it is not running."""
    with explained("a fault could not be made"):
        try:
            act()
        except APIError as error:
            if error.status_code == _CONFLICT:
                return False
            raise
    return True


def _unpause(container: Container) -> None:
    with explained("a paused container could not go on"):
        container.reload()
        if container.status == "paused":
            container.unpause()


def _remove_leftovers(client: docker.DockerClient) -> None:
    """Remove the leftovers of runs whose process has ended."""
    label = {"label": [OWNER_LABEL]}
    with explained("leftovers of an earlier run could not be searched for"):
        listed = client.api.containers(all=True, filters=label) + client.api.networks(filters=label)
    labels = [one["Labels"] for one in listed]
    runs = {one.get(RUN_LABEL, "") for one in labels if owner.is_gone(one[OWNER_LABEL])}
    for run in sorted(filter(None, runs)):
        log.info("removing what run %s left", run)
        _remove(client, f"{RUN_LABEL}={run}", None)


def _remove(client: docker.DockerClient, label: str, logs: Path | None) -> None:
    """Remove the containers and networks with a label.

    Raises:
        FleetFailed: something is left.
    """

    def one(container: Container) -> None:
        try:
            if logs is not None:
                name = container.labels["fedsiege.worker"]
                (logs / f"{name}.log").write_bytes(container.logs())
        finally:
            with contextlib.suppress(NotFound):
                container.remove(force=True, v=True)

    with explained("not everything could be removed; the next run tries again"):
        containers = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = [pool.submit(one, container) for container in containers]
        for network in client.networks.list(filters={"label": label}):
            with contextlib.suppress(NotFound):
                network.remove()
        for future in done:
            future.result()
