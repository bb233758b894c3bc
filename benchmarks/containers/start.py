"""From ``docker-compose up`` to the first finished round, and the memory of a client container."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

import docker
import grpc
from docker.models.containers import Container

from benchmarks.containers import engine
from benchmarks.containers.progress import add_finding, show
from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples
from benchmarks.processes import ROOT
from fedsiege.services.rpc.channel import PAST_PROXIES
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

CLIENTS, FEW = 50, 5
#: Clients that are started after the experiment and stay idle.
IDLE = 10
_TIME_LIMIT = 300.0
_COMPOSE = "com.docker.compose"
_STEPS = (
    "all containers run",
    "all clients attached",
    "all clients ready",
    "first round finished",
)


class Project:
    """A Compose project in a folder that looks like a fresh clone.

    Args:
        client: the connection to the engine.
        folder: an empty folder, which is filled.
    """

    def __init__(self, client: docker.DockerClient, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._name = f"fedsiege-bench-up-{secrets.token_hex(3)}"
        self._environment = {
            **os.environ,
            "AGGREGATOR_PORT": "0",
            "SIMULATOR_PORT": "0",
            "ROUNDS": "3",
            "DATASET": "digits",
            "ATTACK": "0",
        }
        shutil.copy(ROOT / "docker-compose.yml", folder)
        v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        self._command = ["docker", "compose"] if v2.returncode == 0 else ["docker-compose"]

    def compose(self, *arguments: str) -> None:
        """Run a Compose command.

        Raises:
            ContenderError: the command fails.
        """
        done = subprocess.run(
            [*self._command, "--project-name", self._name, *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ContenderError(f"{' '.join(arguments)}: {done.stderr.strip()[-500:]}")

    def up(self, clients: int) -> None:
        """Start the services, with this number of clients; running containers are kept."""
        self.compose("up", "--detach", "--no-recreate", "--scale", f"client={clients}")

    def containers(self, service: str) -> list[Container]:
        """Return a service's containers, in the order in which they were started."""
        labels = [f"{_COMPOSE}.project={self._name}", f"{_COMPOSE}.service={service}"]
        found = self._client.containers.list(filters={"label": labels})
        return sorted(found, key=started)


def started(container: Container) -> float:
    """Return when a container was started, in seconds since 1970."""
    stamp = container.attrs["State"]["StartedAt"]
    return datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()


@contextmanager
def _project() -> Iterator[Project]:
    with engine.connected() as client, tempfile.TemporaryDirectory(prefix="bench-up-") as folder:
        project = Project(client, Path(folder))
        try:
            yield project
        except grpc.RpcError as error:
            raise ContenderError(f"the simulator: {error}") from error
        finally:
            project.compose("down", "--timeout=1")


def _measure(effort: Effort) -> Samples:
    clients = effort.of(CLIENTS, FEW)
    with _project() as project:
        began = time.time()
        project.up(clients)
        show(f"start: up returned after {time.time() - began:.1f} s")
        [simulator] = project.containers("simulator")
        with grpc.insecure_channel(engine.address(simulator, 50052), [PAST_PROXIES]) as channel:
            control = rpc.SimulatorServiceStub(channel)
            finished, opened = _first_round(control, clients)
            attached = _attached(control)
            containers = project.containers("client")
            busy, cpu = engine.memory(containers), engine.cpu_seconds(containers)
            show("start: starting clients that stay idle")
            project.up(clients + IDLE)
            while len(_attached(control)) < len(attached) + IDLE:
                time.sleep(0.2)
            idle = engine.memory(project.containers("client")[-IDLE:])
    steps = [started(containers[-1]), max(attached), opened, finished]
    for step, before, after in zip(_STEPS, [began, *steps], steps, strict=False):
        show(f"start: {after - before:5.1f} s until {step}")
    add_finding(
        f"start: a client took {median(cpu):.2f} s of processor time until it had trained, "
        f"{sum(cpu):.0f} s all together"
    )
    return {
        **{step: [after - began] for step, after in zip(_STEPS, steps, strict=True)},
        "memory of an idle client": idle,
        "memory of a client that trained": busy,
        "largest of them": [max(busy)],
        "processor time of a client": cpu,
    }


def _attached(control: rpc.SimulatorServiceStub) -> list[float]:
    """Return when each worker attached, in seconds since 1970."""
    response = control.ListWorkers(pb.ListWorkersRequest(), timeout=_TIME_LIMIT)
    return [one.attach_time.ToMicroseconds() / 1e6 for one in response.workers]


def _first_round(control: rpc.SimulatorServiceStub, clients: int) -> tuple[float, float]:
    """Wait for the first round; return when it closed and when it was opened.

    Raises:
        ContenderError: there is no first round, or an update is missing in it.
    """
    request = pb.ListExperimentsRequest()
    until = time.monotonic() + _TIME_LIMIT
    while not (listed := control.ListExperiments(request, wait_for_ready=True).experiments):
        if time.monotonic() > until:
            raise ContenderError("no experiment was started")
        time.sleep(0.2)
    watch = pb.WatchExperimentRequest(experiment_id=listed[0].experiment_id)
    finished, opened, problem = 0.0, 0.0, ""
    for event in control.WatchExperiment(watch, timeout=_TIME_LIMIT):
        problem = event.experiment.problem
        if event.WhichOneof("event") == "entry" and event.entry.round == 1:
            finished = time.time()
            opened = finished - event.entry.seconds
            if event.entry.updates != clients:
                raise ContenderError(f"{event.entry.updates} of {clients} were in round 1")
    if not finished:
        raise ContenderError(f"no round: {problem}")
    return finished, opened


def _image_size(effort: Effort) -> Samples:
    with engine.connected() as client:
        return {"size": [client.images.get(engine.IMAGE).attrs["Size"] / engine.MEBIBYTE]}


_UP, _IMAGE = "docker-compose up", "the image"

START = Benchmark(
    name="start",
    title=f"`docker-compose up --scale client={CLIENTS}`, the image built; digits",
    units={
        **dict.fromkeys(_STEPS, "s"),
        "memory of an idle client": "MiB",
        "memory of a client that trained": "MiB",
        "largest of them": "MiB",
        "processor time of a client": "s",
        "size": "MiB",
    },
    contenders=[Contender(_UP, _measure), Contender(_IMAGE, _image_size)],
    claims=[
        Claim(
            "first round finished",
            lambda medians: medians[_UP, "first round finished"],
            "s",
            at_most=60,
        ),
        Claim(
            "memory of a client that trained, the largest (Flower: 135 MiB per node)",
            lambda medians: medians[_UP, "largest of them"],
            "MiB",
            at_most=200,
        ),
    ],
    most_repeats=3,
)
