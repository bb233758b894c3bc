"""The same Compose file on a Swarm of two nodes, one of which fails and comes back.

``docker/two-nodes.sh`` makes the nodes: an engine each, in namespaces of its own. Workers call the
servers ``tasks.<service>``, which also works on kernels without IPVS. The tests depend on their
order.
"""

import csv
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedsiege.services.launch.base import FleetFailed, Resources, WorkerSpec
from fedsiege.services.launch.swarm import SwarmFleet
from tests.containers.control import PATIENCE, ROOT, Control

TWO_NODES = ROOT / "docker/two-nodes.sh"
#: The status of two-nodes.sh if the kernel lacks a feature.
KERNEL_LACKS = 3
BOTH = {"node-1", "node-2"}
CLIENTS = 4
ALL = CLIENTS + 1  # and a fake
SETTINGS = {
    "AGGREGATOR": "tasks.aggregator:50051",
    "SIMULATOR": "tasks.simulator:50052",
    "DATA": "/mnt",  # a folder that exists on every machine
    "CLIENTS": str(CLIENTS),
    "ROUNDS": "3",
}


def two_nodes(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [TWO_NODES, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


class Stack(Control):
    """The stack on the Swarm, used from the manager."""

    name = "fedsiege"

    def __init__(self, runs: Path) -> None:
        self.runs = runs

    def run(self, *command: str) -> str:
        return two_nodes("exec-on", "1", *command)

    def docker(self, *arguments: str, **environment: str) -> str:
        return two_nodes("exec-on", "1", "docker", *arguments, **environment)

    def deploy(self) -> None:
        file = str(ROOT / "docker-compose.yml")
        options = ("--resolve-image", "never", "--compose-file", file)
        self.docker("stack", "deploy", *options, self.name, RUNS=str(self.runs), **SETTINGS)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.situation()
            time.sleep(0.5)  # the nodes need the processors

    def situation(self) -> str:
        """Return the state of containers and experiments, for the message of a failed wait."""
        listed = self.call("SimulatorService/ListExperiments").get("experiments", [])
        experiments = [f"{one['state']} {one.get('problem', '')}" for one in listed]
        return "\n".join([self.docker("stack", "ps", self.name), *experiments])

    def nodes(self, service: str) -> set[str]:
        """Return the nodes that run replicas of a service."""
        listed = self.docker(
            *("service", "ps", "--filter", "desired-state=running"),
            *("--format", "{{.Node}} {{.CurrentState}}", f"{self.name}_{service}"),
        )
        tasks = [line.split() for line in listed.splitlines()]
        return {node for node, state, *_ in tasks if state == "Running"}

    def container(self, service: str) -> str:
        return self.docker("ps", "--quiet", "--filter", f"name=^{self.name}_{service}\\.")

    @functools.cache  # noqa: B019 - there is one stack, whose servers do not move
    def address(self, service: str) -> str:
        """Return the address at which the manager reaches a server, without published ports."""
        sandbox = self.docker(
            "inspect", "--format", "{{.NetworkSettings.SandboxID}}", self.container(service)
        )
        bridge = json.loads(self.docker("network", "inspect", "docker_gwbridge"))[0]["Containers"]
        own = next(one for one in bridge.values() if one["Name"] == f"gateway_{sandbox[:12]}")
        port = {"aggregator": "50051", "simulator": "50052"}[service]
        return f"{own['IPv4Address'].partition('/')[0]}:{port}"


@pytest.fixture(scope="module")
def swarm(image: str) -> Iterator[None]:
    """Make two nodes that have the image; remove them completely afterwards."""
    able = subprocess.run([TWO_NODES, "check"], capture_output=True, text=True, check=False)
    if able.returncode == KERNEL_LACKS:
        pytest.skip(able.stderr.strip())
    assert able.returncode == 0, able.stderr
    try:
        two_nodes("up", image)
        yield
    finally:
        two_nodes("down")
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    rules = subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=True).stdout
    assert "fedsiege-" not in links + rules
    assert not Path("/run/fedsiege-nodes").exists()
    assert not Path("/var/lib/fedsiege-nodes").exists()


def services() -> str:
    return two_nodes("exec-on", "1", "docker", "service", "ls", "--format", "{{.Name}}")


def test_the_simulator_runs_workers_on_the_swarm(swarm, tmp_path):
    """With a compromised participant, which needs data on its node, and with an audit."""
    out = tmp_path / "run"
    two_nodes(
        *("exec-on", "1", str(ROOT / ".venv/bin/fedsiege"), "sim", "--engine=swarm"),
        *("--clients=5", "--rounds=3", "--dataset=digits", f"--out={out}"),
        *("--attack-name=label-flip", "--audit=duplicate"),
    )
    with (out / "history.csv").open() as file:
        assert [row["updates"] for row in csv.DictReader(file)] == ["0", "5", "5", "5"]
    with (out / "detectors.csv").open() as file:
        verdicts = [(row["round"], row["detector"]) for row in csv.DictReader(file)]
    assert verdicts == [(str(number), "duplicate") for number in (1, 2, 3) for _ in range(5)]
    with (out / "containers.csv").open() as file:
        rows = list(csv.DictReader(file))
    workers = {"attacker-1", *(f"client-{number}" for number in range(1, 5))}
    assert {row["container"] for row in rows[-5:]} == workers
    assert {row["state"] for row in rows[-5:]} == {"running"}
    here = {row["container"] for row in rows if row["memory"]}
    assert here < workers, "all of them run on one node"
    assert here, "none of them runs on this node"
    for worker in here:
        assert f" {worker} " in (out / "logs" / f"{worker}.log").read_text()
    assert services() == ""


def fleet_at(node: int, monkeypatch: pytest.MonkeyPatch) -> SwarmFleet:
    monkeypatch.setenv("DOCKER_HOST", f"unix:///run/fedsiege-nodes/{node}.sock")
    return SwarmFleet([WorkerSpec("client-1", "client", 1)], Resources(), Path("data"))


def test_only_a_manager_can_start_workers(swarm, monkeypatch):
    with pytest.raises(FleetFailed, match="no manager of a Swarm"):
        fleet_at(2, monkeypatch).prepare()


def test_leftovers_of_a_killed_run_are_removed(swarm, image, monkeypatch):
    labels = ("--label", "fedsiege.run=x", "--label", "fedsiege.owner=another-boot 1 1 1")
    two_nodes(
        *("exec-on", "1", "docker", "service", "create", "--quiet", "--detach"),
        *("--no-resolve-image", "--replicas=0", "--name=left", *labels, image),
    )
    with pytest.raises(FleetFailed, match="no address of this machine"):
        fleet_at(1, monkeypatch).prepare()  # this test does not run on the manager
    assert services() == ""


@pytest.fixture(scope="module")
def stack(swarm: None, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = Stack(tmp_path_factory.mktemp("runs"))
    stack.deploy()
    healthy = ("ps", "--quiet", "--filter", "health=healthy")
    stack.until(lambda: len(stack.docker(*healthy).split()) == 2)  # aggregator and simulator
    return stack


@pytest.fixture(scope="module")
def open_experiment(stack: Stack) -> Iterator[str]:
    """A running experiment that new workers can join."""
    yield stack.start(clients=0, rounds=1_000_000, deadline=5)
    stack.docker("stack", "rm", stack.name)


def test_the_default_experiment_runs_on_both_nodes(stack):
    stack.until(lambda: stack.first().get("state") == "EXPERIMENT_STATE_FINISHED")
    updates = [entry["updates"] for entry in stack.first()["historicalAccuracy"][1:]]
    assert updates == [ALL] * 3
    assert stack.nodes("client") == BOTH
    assert stack.nodes("aggregator") == stack.nodes("simulator") == {"node-1"}
    results = stack.runs / Path(stack.first()["results"]).name
    assert {"history.csv", "model.safetensors"} <= {path.name for path in results.iterdir()}


def test_containers_have_no_capabilities_and_can_write_to_tmp_only(stack):
    client = stack.container("client").split()[0]
    status = stack.docker("exec", client, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    show = "touch /tmp/x && ! touch /opt/x 2>&1 && ! touch /data/x 2>&1"
    assert "Read-only" in stack.docker("exec", "--user=root", client, "sh", "-c", show)


def test_a_lost_node_costs_only_updates(stack, open_experiment):
    stack.until(lambda: stack.updates(open_experiment) == ALL)
    identities, before = stack.enrolled(open_experiment), len(stack.history(open_experiment))
    assert len(identities) == ALL
    two_nodes("kill", "2")

    def rounds() -> list[int]:
        return [entry["updates"] for entry in stack.history(open_experiment)[before:]]

    stack.until(lambda: rounds() and 0 < min(rounds()) < ALL)  # rounds go on without the lost node
    stack.until(lambda: rounds()[-1] == ALL)  # its workers are replaced on the other node
    assert stack.nodes("client") == {"node-1"}
    history = stack.history(open_experiment)
    assert [entry.get("round", 0) for entry in history] == list(range(len(history)))
    assert stack.experiment(open_experiment)["state"] == "EXPERIMENT_STATE_RUNNING"
    assert stack.enrolled(open_experiment) == identities


def test_a_node_that_comes_back_runs_workers_again(stack, open_experiment):
    identities = stack.enrolled(open_experiment)
    two_nodes("start", "2")
    ready = ("node", "ls", "--filter", "name=node-2", "--format", "{{.Status}}")
    stack.until(lambda: stack.docker(*ready) == "Ready")
    # Not all at once: an experiment without workers ends at its deadline. On busy processors the
    # first two need some seconds to join before the others are replaced.
    options = ("--quiet", "--force", "--detach", "--update-parallelism=2", "--update-delay=10s")
    service = f"{stack.name}_client"
    stack.docker("service", "update", *options, service)
    updated = ("service", "inspect", "--format", "{{.UpdateStatus.State}}", service)
    stack.until(
        lambda: stack.docker(*updated) == "completed"
    )  # before the next test scales the service
    stack.until(lambda: stack.nodes("client") == BOTH and stack.updates(open_experiment) == ALL)
    assert stack.enrolled(open_experiment) == identities


def test_scaling_adds_participants(stack, open_experiment):
    stack.docker("service", "scale", "--detach", f"{stack.name}_client={CLIENTS + 4}")
    stack.until(lambda: stack.updates(open_experiment) == CLIENTS + 4 + 2)  # and two fakes
