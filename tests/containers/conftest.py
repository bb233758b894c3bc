"""Tests of the federation in containers, on a real Docker engine without mocks.

They run only if they are named: ``pytest tests/containers``. The scripts in ``docker/`` start an
engine and build the image.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.control import PATIENCE, ROOT, Control

HERE = Path(__file__).parent


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave these tests out unless they are named, as they need a Docker engine."""
    named = (Path(config.invocation_params.dir, one.split("::")[0]) for one in config.args)
    return None if any(HERE in (path, *path.parents) for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


def run(*command: str | Path, status: int | None = 0, **options: Any) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert status is None or done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


class Federation(Control):
    """A Compose project in a folder that looks like a fresh clone.

    Args:
        folder: an empty folder, which is filled.
        overlay: a second Compose file, used with docker-compose.yml; empty for none.
        settings: environment variables of the user.
    """

    def __init__(self, folder: Path, overlay: str = "", **settings: str) -> None:
        self.folder, self.name = folder, f"fedsiege-{folder.name}".replace("_", "-")
        shutil.copy(ROOT / "docker-compose.yml", folder)
        self._files: list[str] = []
        self._addresses: dict[str, str] = {}
        if overlay:
            (folder / "docker").mkdir()
            shutil.copy(ROOT / overlay, folder / overlay)
            self._files = ["--file", "docker-compose.yml", "--file", overlay]
        ports = {"AGGREGATOR_PORT": "0", "SIMULATOR_PORT": "0"}  # free ones
        self._environment = {**os.environ, **ports, **settings}
        v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        self._command = ["docker", "compose"] if v2.returncode == 0 else ["docker-compose"]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.compose("logs", "--no-color", "--tail=20")
            time.sleep(0.2)

    def compose(self, *arguments: str) -> str:
        self._addresses.clear()
        command = [*self._command, *self._files, "--project-name", self.name, *arguments]
        return run(*command, cwd=self.folder, env=self._environment)

    def up(self, clients: int) -> None:
        """Start or stop containers for a number of clients; return when servers are healthy."""
        self.compose("up", "--detach", "--no-recreate", "--scale", f"client={clients}")
        servers = self.containers("aggregator", "simulator")
        health = ["docker", "inspect", "--format", "{{.State.Health.Status}}", *servers]
        self.until(lambda: run(*health).split() == ["healthy", "healthy"])

    def down(self) -> None:
        self.compose("down")

    def containers(self, *services: str) -> list[str]:
        """Return the containers of services, or of all; faster than with docker-compose 1.29."""
        ours = f"label=com.docker.compose.project={self.name}"
        layout = '{{.Label "com.docker.compose.service"}} {{.ID}}'
        listed = run("docker", "ps", "--all", "--no-trunc", "--filter", ours, "--format", layout)
        found = [line.split() for line in listed.splitlines()]
        return [container for service, container in found if not services or service in services]

    def programs(self, container: str) -> list[tuple[int, int, str]]:
        """Return (process id, user id, command) of Python in a container, by this machine."""
        lines = run("docker", "top", container, "-o", "pid,uid,comm,args").splitlines()[1:]
        found = [line.split(maxsplit=3) for line in lines]
        return [(int(one[0]), int(one[1]), one[3]) for one in found if one[2].startswith("python")]

    def service_in(self, container: str) -> int:
        """Return the process id of the service, not that of a health check."""
        started = "-m fedsiege.services."
        (process,) = (pid for pid, _, line in self.programs(container) if started in line)
        return process

    def run(self, *command: str) -> str:
        return run(*command)

    @property
    def bundle(self) -> Path | None:
        folder = self.folder / "admission/operator"
        return folder if folder.is_dir() else None

    def address(self, service: str) -> str:
        """Return the published address of a server; cached until Compose changes something."""
        port = {"aggregator": "50051", "simulator": "50052"}[service]
        if service not in self._addresses:
            (container,) = self.containers(service)
            self._addresses[service] = run("docker", "port", container, port)
        return self._addresses[service]


@pytest.fixture(scope="session")
def docker() -> Callable[..., str]:
    """Run a docker command and return what it prints."""
    return lambda *arguments, **options: run("docker", *arguments, **options)


@pytest.fixture(scope="session")
def image() -> str:
    """The image of the working tree."""
    assert run("docker", "version", status=None), "no Docker engine: docker/engine.sh start"
    run(ROOT / "docker/image.sh")
    return "fedsiege:latest"


@pytest.fixture
def in_image(image: str) -> Callable[..., str]:
    """Run a command in a container of the image and return what it prints."""

    def in_container(*command: str, options: tuple[str, ...] = (), status: int = 0) -> str:
        return run("docker", "run", "--rm", *options, image, *command, status=status)

    return in_container


@pytest.fixture(scope="module")
def make_federation(
    image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Federation]]:
    """Make federations that are always removed after the tests."""
    made: list[Federation] = []

    def make(**settings: str) -> Federation:
        made.append(Federation(tmp_path_factory.mktemp("clone"), **settings))
        return made[-1]

    yield make
    for federation in made:
        federation.down()
