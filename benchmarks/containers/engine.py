"""Containers of a benchmark: started many at a time, looked at, and gone afterwards in any case."""

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

#: Seconds that the engine gets to take the last containers off a network.
_PARTING = 20.0
R = TypeVar("R")

#: The image of all containers, as in docker-compose.yml.
IMAGE = os.environ.get("IMAGE", "fedsiege:latest")
#: Carried by all that a benchmark makes; the value tells runs apart.
LABEL = "fedsiege.benchmark"
#: Requests to the engine at a time. It starts no more containers a second with more of them.
AT_ONCE = 8
MEBIBYTE = 2**20
_PATIENCE = 300
#: As docker-compose.yml has every service.
_HARDENED: Mapping[str, Any] = {
    "init": True,
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}


class Stage:
    """A network and the containers in it.

    Args:
        client: of the engine.
        name: of this run; the label's value, and the beginning of every container's name.
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
        """Create a container that its neighbours reach by its name.

        Args:
            name: within this stage.
            command: program and arguments.
            mounts: folders of this machine and where they are to be seen, never to be written.
            options: of the Docker SDK's ``containers.create``.
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
        """Remove everything this stage has made."""
        mine = self.client.containers.list(all=True, filters={"label": f"{LABEL}={self.name}"})
        each(_remove, mine)
        network = self.client.networks.get(self._network)
        until = time.monotonic() + _PARTING
        while True:
            try:
                return network.remove()
            except APIError:  # the engine may take a moment to part with the last container
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
    """Do something with each thing, some at a time; return what came of it, in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(do, things))


@contextmanager
def connected() -> Iterator[docker.DockerClient]:
    """Keep a connection to the engine while the block runs.

    Raises:
        ContenderError: there is none, or it refuses.
    """
    try:
        client = docker.from_env(timeout=_PATIENCE, max_pool_size=2 * AT_ONCE)
        try:
            yield client
        finally:
            client.close()
    except (DockerException, RequestException) as error:
        raise ContenderError(f"the Docker engine: {error}") from error


@contextmanager
def stage(name: str) -> Iterator[Stage]:
    """Keep a stage while the block runs; nothing of it stays.

    Raises:
        ContenderError: the engine refuses.
    """
    with connected() as client:
        scene = Stage(client, f"fedsiege-bench-{name}-{secrets.token_hex(3)}")
        try:
            yield scene
        finally:
            scene.remove()


def files(most: int) -> Ulimit:
    """Return the limit that lets a container open so many files and connections."""
    return Ulimit(name="nofile", soft=most, hard=most)


def address(container: Container, port: int) -> str:
    """Return where this machine reaches a container's published port."""
    container.reload()
    for bound in container.ports[f"{port}/tcp"] or ():
        return f"{bound['HostIp']}:{bound['HostPort']}"
    words = container.logs(tail=3).decode(errors="replace")
    raise ContenderError(f"{container.name} is not there: {words}")


def memory(containers: Iterable[Container]) -> list[float]:
    """Return each container's memory in MiB, as ``docker stats`` counts it.

    That is what its processes hold, and what the kernel holds for them, without the file cache that
    can be dropped.
    """
    return [usage / MEBIBYTE for usage in each(_usage, containers)]


def _usage(container: Container) -> int:
    seen = _stats(container)["memory_stats"]
    details = seen["stats"]
    idle_cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return int(seen["usage"]) - int(idle_cache)


def _stats(container: Container) -> dict[str, Any]:
    engine: Any = container.client  # whose types leave open whether there is one
    stats: dict[str, Any] = engine.api.stats(container.id, stream=False, one_shot=True)
    return stats


def cpu_seconds(containers: Iterable[Container]) -> list[float]:
    """Return the processor time that each container has taken since it was started."""

    def taken(container: Container) -> float:
        return float(_stats(container)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

    return each(taken, containers)


def resident(container: Container) -> float:
    """Return the MiB that a container's largest process holds in memory."""
    listed: list[list[str]] = container.top(ps_args="-o pid,rss")["Processes"]
    return max(int(rss) for _, rss in listed) / 1024


def available() -> float:
    """Return the MiB of this machine's memory that could still be taken."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) / 1024
