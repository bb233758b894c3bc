"""The containers of a benchmark: start many at a time, measure them, and always remove them."""

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import Ulimit
from requests import RequestException

from benchmarks.contest import ContenderError

T = TypeVar("T")

#: Seconds within which the engine must detach the last containers from a network.
_DETACH_LIMIT = 20.0
R = TypeVar("R")

#: The image of all containers, as in docker-compose.yml.
IMAGE = os.environ.get("IMAGE", "fedsiege:latest")
#: Label of all containers and networks of a benchmark; its value is the name of the run.
LABEL = "fedsiege.benchmark"
#: Concurrent requests to the engine. With more of them it starts no more containers a second.
AT_ONCE = 8
MEBIBYTE = 2**20
_TIME_LIMIT = 300
#: Restrictions of every service, as in docker-compose.yml.
_HARDENED: Mapping[str, Any] = {
    "init": True,
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}


class ContainerNetwork:
    """A Docker network and the containers in it.

    Args:
        client: the connection to the engine.
        name: the name of the run: the label's value and the prefix of the containers' names.
    """

    def __init__(self, client: docker.DockerClient, name: str) -> None:
        self.client = client
        self.name = name
        self._labels = {LABEL: name}
        self._network = name
        client.networks.create(name, driver="bridge", labels=self._labels)

    def create(
        self, name: str, command: Sequence[str], mounts: Mapping[Path, str], **options: Any
    ) -> Container:
        """Create a container, which the others in the network reach by its name.

        Args:
            name: the name in this network.
            command: program and arguments.
            mounts: the path in the container of each folder of this machine, mounted read-only.
            options: further arguments of the Docker SDK's ``containers.create``.
        """
        alias = self.client.api.create_endpoint_config(aliases=[name])
        return self.client.containers.create(
            IMAGE,
            list(command),
            name=f"{self.name}-{name}",
            labels=self._labels,
            network=self._network,
            networking_config={self._network: alias},
            volumes={str(path): {"bind": seen, "mode": "ro"} for path, seen in mounts.items()},
            **{**_HARDENED, **options},
        )

    def start(
        self,
        name: str,
        command: Sequence[str],
        mounts: Mapping[Path, str] | None = None,
        **options: Any,
    ) -> Container:
        """Create a container and start it; arguments as for ``create``."""
        container = self.create(name, command, mounts or {}, **options)
        container.start()
        return container

    def remove(self) -> None:
        """Remove the network and its containers."""
        mine = self.client.containers.list(all=True, filters={"label": f"{LABEL}={self.name}"})
        each(_remove, mine)
        network = self.client.networks.get(self._network)
        until = time.monotonic() + _DETACH_LIMIT
        while True:
            try:
                return network.remove()
            except APIError:  # the engine may still be detaching the last container
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)


def _remove(container: Container) -> None:
    with suppress(NotFound):
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            if "paused" not in str(error):
                raise
            container.unpause()
            container.remove(force=True, v=True)


def each(do: Callable[[T], R], things: Iterable[T]) -> list[R]:
    """Call a function with each thing, ``AT_ONCE`` at a time; return the results in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(do, things))


@contextmanager
def connected() -> Iterator[docker.DockerClient]:
    """Keep a connection to the engine while the block runs.

    Raises:
        ContenderError: no engine answers, or it reports an error.
    """
    try:
        client = docker.from_env(timeout=_TIME_LIMIT, max_pool_size=2 * AT_ONCE)
        try:
            yield client
        finally:
            client.close()
    except (DockerException, RequestException) as error:
        raise ContenderError(f"the Docker engine: {error}") from error


@contextmanager
def container_network(name: str) -> Iterator[ContainerNetwork]:
    """Keep a network while the block runs, and remove it with its containers afterwards.

    Raises:
        ContenderError: the engine reports an error.
    """
    with connected() as client:
        network = ContainerNetwork(client, f"fedsiege-bench-{name}-{secrets.token_hex(3)}")
        try:
            yield network
        finally:
            network.remove()


def files(most: int) -> Ulimit:
    """Return the limit of open files and connections of a container."""
    return Ulimit(name="nofile", soft=most, hard=most)


def address(container: Container, port: int) -> str:
    """Return the ``host:port`` at which this machine reaches a container's published port."""
    container.reload()
    for bound in container.ports[f"{port}/tcp"] or ():
        return f"{bound['HostIp']}:{bound['HostPort']}"
    words = container.logs(tail=3).decode(errors="replace")
    raise ContenderError(f"{container.name} does not run: {words}")


def memory(containers: Iterable[Container]) -> list[float]:
    """Return each container's memory in MiB, as ``docker stats`` counts it.

    It includes the memory of the kernel for its processes, but not the file cache that can be
    dropped.
    """
    return [usage / MEBIBYTE for usage in each(_usage, containers)]


def _usage(container: Container) -> int:
    seen = _stats(container)["memory_stats"]
    details = seen["stats"]
    idle_cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return int(seen["usage"]) - int(idle_cache)


def _stats(container: Container) -> dict[str, Any]:
    engine: Any = container.client  # its type allows None
    stats: dict[str, Any] = engine.api.stats(container.id, stream=False, one_shot=True)
    return stats


def cpu_seconds(containers: Iterable[Container]) -> list[float]:
    """Return the processor seconds of each container since its start."""

    def taken(container: Container) -> float:
        return float(_stats(container)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

    return each(taken, containers)


def resident(container: Container) -> float:
    """Return the resident memory of a container's largest process, in MiB."""
    listed: list[list[str]] = container.top(ps_args="-o pid,rss")["Processes"]
    return max(int(rss) for _, rss in listed) / 1024


def available() -> float:
    """Return the available memory of this machine, in MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) / 1024
