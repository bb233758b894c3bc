"""The same Compose file on a Swarm of two nodes, of which one is lost and comes back.

The nodes are those of ``docker/two-nodes.sh``: an engine each, in namespaces of its own. Workers
call the servers ``tasks.<service>``, which kernels without IPVS can resolve too. The tests follow
each other.
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

from services.launch.base import FleetFailed, Resources, WorkerSpec
from services.launch.swarm import SwarmFleet
from tests.containers.control import PATIENCE, ROOT, Control

TWO_NODES = ROOT / "docker/two-nodes.sh"
#: The status with which two-nodes.sh says that it is the kernel's fault.
KERNEL_LACKS = 3
BOTH = {"node-1", "node-2"}
CLIENTS = 4
EVERYONE = CLIENTS + 1  # and a fake
SETTINGS = {
    "AGGREGATOR": "tasks.aggregator:50051",
    "SIMULATOR": "tasks.simulator:50052",
    "DATA": "/mnt",  # a folder that every machine has
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
    """The stack, as the manager sees it."""

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
        """Say how containers and experiments are, for a test that waited in vain."""
        listed = self.call("SimulatorService/ListExperiments").get("experiments", [])
        experiments = [f"{one['state']} {one.get('problem', '')}" for one in listed]
        return "\n".join([self.docker("stack", "ps", self.name), *experiments])

    def nodes(self, service: str) -> set[str]:
        """Name the nodes that run replicas of a service."""
        listed = self.docker(
            *("service", "ps", "--filter", "desired-state=running"),
            *("--format", "{{.Node}} {{.CurrentState}}", f"{self.name}_{service}"),
        )
        tasks = [line.split() for line in listed.splitlines()]
        return {node for node, state, *_ in tasks if state == "Running"}

    def container(self, service: str) -> str:
        return self.docker("ps", "--quiet", "--filter", f"name=^{self.name}_{service}\\.")

    @functools.cache  # noqa: B019 - there is one stack, and its servers stay where they are
    def address(self, service: str) -> str:
        """Return where the manager reaches a server of its own, whatever ports are published."""
        sandbox = self.docker(
            "inspect", "--format", "{{.NetworkSettings.SandboxID}}", self.container(service)
        )
        bridge = json.loads(self.docker("network", "inspect", "docker_gwbridge"))[0]["Containers"]
        own = next(one for one in bridge.values() if one["Name"] == f"gateway_{sandbox[:12]}")
        port = {"aggregator": "50051", "simulator": "50052"}[service]
        return f"{own['IPv4Address'].partition('/')[0]}:{port}"


@pytest.fixture(scope="module")
def swarm(image: str) -> Iterator[None]:
    """Two nodes that have the image, and not a trace of them afterwards."""
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


def test_the_simulator_schedules_over_the_swarm(swarm, tmp_path):
    """With a compromised participant, which needs data where it runs, and with an audit."""
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


def test_only_a_manager_can_schedule(swarm, monkeypatch):
    with pytest.raises(FleetFailed, match="no manager of a Swarm"):
        fleet_at(2, monkeypatch).prepare()


def test_what_a_killed_run_left_is_removed(swarm, image, monkeypatch):
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
def endless(stack: Stack) -> Iterator[str]:
    """An experiment that runs, open to whoever comes."""
    yield stack.start(clients=0, rounds=1_000_000, deadline=5)
    stack.docker("stack", "rm", stack.name)


def test_the_default_experiment_runs_on_both_nodes(stack):
    stack.until(lambda: stack.first().get("state") == "EXPERIMENT_STATE_FINISHED")
    updates = [entry["updates"] for entry in stack.first()["historicalAccuracy"][1:]]
    assert updates == [EVERYONE] * 3
    assert stack.nodes("client") == BOTH
    assert stack.nodes("aggregator") == stack.nodes("simulator") == {"node-1"}
    results = stack.runs / Path(stack.first()["results"]).name
    assert {"history.csv", "model.safetensors"} <= {path.name for path in results.iterdir()}


def test_containers_have_no_powers_and_can_write_only_where_they_should(stack):
    client = stack.container("client").split()[0]
    status = stack.docker("exec", client, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    show = "touch /tmp/x && ! touch /opt/x 2>&1 && ! touch /data/x 2>&1"
    assert "Read-only" in stack.docker("exec", "--user=root", client, "sh", "-c", show)


def test_a_lost_node_costs_updates_and_no_participant(stack, endless):
    stack.until(lambda: stack.updates(endless) == EVERYONE)
    identities, before = stack.roll(endless), len(stack.history(endless))
    assert len(identities) == EVERYONE
    two_nodes("kill", "2")

    def rounds() -> list[int]:
        return [entry["updates"] for entry in stack.history(endless)[before:]]

    stack.until(lambda: rounds() and 0 < min(rounds()) < EVERYONE)  # it goes on without them
    stack.until(lambda: rounds()[-1] == EVERYONE)  # and with them, on the node that is left
    assert stack.nodes("client") == {"node-1"}
    history = stack.history(endless)
    assert [entry.get("round", 0) for entry in history] == list(range(len(history)))
    assert stack.experiment(endless)["state"] == "EXPERIMENT_STATE_RUNNING"
    assert stack.roll(endless) == identities


def test_a_node_that_comes_back_takes_its_share_again(stack, endless):
    identities = stack.roll(endless)
    two_nodes("start", "2")
    ready = ("node", "ls", "--filter", "name=node-2", "--format", "{{.Status}}")
    stack.until(lambda: stack.docker(*ready) == "Ready")
    # Never all at once: an experiment without anybody ends at its deadline. On busy processors the
    # first two need some seconds to join before the others go.
    options = ("--quiet", "--force", "--detach", "--update-parallelism=2", "--update-delay=10s")
    service = f"{stack.name}_client"
    stack.docker("service", "update", *options, service)
    updated = ("service", "inspect", "--format", "{{.UpdateStatus.State}}", service)
    stack.until(lambda: stack.docker(*updated) == "completed")  # or scaling would come between
    stack.until(lambda: stack.nodes("client") == BOTH and stack.updates(endless) == EVERYONE)
    assert stack.roll(endless) == identities


def test_scaling_brings_newcomers(stack, endless):
    stack.docker("service", "scale", "--detach", f"{stack.name}_client={CLIENTS + 4}")
    stack.until(lambda: stack.updates(endless) == CLIENTS + 4 + 2)  # and two fakes
