"""The federation in containers, on a real Docker engine; nothing is mocked.

They run when asked for: ``pytest tests/containers``. What is needed stands in ``docker/``.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUF = shutil.which("buf") or str(ROOT / "node_modules/.bin/buf")
#: Seconds that containers get for what they are waited for.
PATIENCE = 90.0


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave these tests out unless they are named: not everyone who tests has an engine."""
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


class Federation:
    """A Compose project in a folder of its own, as in a fresh clone.

    Args:
        folder: is made to look like one.
        settings: what the user has set in the environment.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.name = folder, f"fedsiege-{folder.name}".replace("_", "-")
        shutil.copy(ROOT / "docker-compose.yml", folder)
        ports = {"AGGREGATOR_PORT": "0", "SIMULATOR_PORT": "0"}  # free ones
        self._environment = {**os.environ, **ports, **settings}
        v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        self._command = ["docker", "compose"] if v2.returncode == 0 else ["docker-compose"]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.compose("logs", "--no-color", "--tail=20")
            time.sleep(0.2)

    def compose(self, *arguments: str) -> str:
        command = [*self._command, "--project-name", self.name, *arguments]
        return run(*command, cwd=self.folder, env=self._environment)

    def up(self, clients: int) -> None:
        """Start what is not there, stop what is too many; return when the servers are well."""
        self.compose("up", "--detach", "--no-recreate", "--scale", f"client={clients}")
        servers = self.containers("aggregator", "simulator")
        health = ["docker", "inspect", "--format", "{{.State.Health.Status}}", *servers]
        self.until(lambda: run(*health).split() == ["healthy", "healthy"])

    def down(self) -> None:
        self.compose("down")

    def containers(self, *services: str) -> list[str]:
        return self.compose("ps", "--quiet", *services).split()

    def call(self, method: str, **request: object) -> dict[str, Any]:
        """Call a method as a person would, by reflection: ``SimulatorService/ListWorkers``."""
        simulator = method.startswith("SimulatorService")
        service, port = ("simulator", "50052") if simulator else ("aggregator", "50051")
        address = self.compose("port", service, port)
        url = f"http://{address}/fedsiege.v1.{method}"
        curl = [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge"]
        # protobuf's JSON, so an absent field has its default
        return json.loads(run(*curl, "--data", json.dumps(request), url))

    def workers(self) -> list[str]:
        listed = self.call("SimulatorService/ListWorkers").get("workers", [])
        return [worker["worker"] for worker in listed]

    def start(self, **spec: object) -> str:
        started = self.call("SimulatorService/StartExperiment", spec=spec)
        return started["experiment"]["experimentId"]

    def experiment(self, experiment_id: str) -> dict[str, Any]:
        answer = self.call("SimulatorService/GetExperiment", experiment_id=experiment_id)
        return answer["experiment"]

    def history(self, experiment_id: str) -> list[dict[str, Any]]:
        return self.experiment(experiment_id).get("historicalAccuracy", [])

    def updates(self, experiment_id: str) -> int:
        """Return how many updates the last round has."""
        history = self.history(experiment_id)
        return history[-1].get("updates", 0) if history else 0

    def cancel(self, experiment_id: str) -> None:
        self.call("SimulatorService/CancelExperiment", experiment_id=experiment_id)


@pytest.fixture(scope="session")
def docker() -> Callable[..., str]:
    """Run a docker command: what it prints."""
    return lambda *arguments, **options: run("docker", *arguments, **options)


@pytest.fixture(scope="session")
def image() -> str:
    """The image of the working tree."""
    assert run("docker", "version", status=None), "no Docker engine: docker/engine.sh start"
    run(ROOT / "docker/image.sh")
    return "fedsiege:latest"


@pytest.fixture
def in_image(image: str) -> Callable[..., str]:
    """Run a command in a container of the image: what it prints."""

    def in_container(*command: str, options: tuple[str, ...] = (), status: int = 0) -> str:
        return run("docker", "run", "--rm", *options, image, *command, status=status)

    return in_container


@pytest.fixture(scope="module")
def make_federation(
    image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Federation]]:
    """Make federations that do not outlive the tests, whatever becomes of them."""
    made: list[Federation] = []

    def make(**settings: str) -> Federation:
        made.append(Federation(tmp_path_factory.mktemp("clone"), **settings))
        return made[-1]

    yield make
    for federation in made:
        federation.down()
