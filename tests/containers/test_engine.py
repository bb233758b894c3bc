"""``fedsiege sim --engine docker``: worker containers are started, get faults and are removed."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: Seconds until a run counts as hung.
PATIENCE = 240.0
SPEC = ("--dataset=digits", "--trainer=loop", "--clients=5", "--attack=0.2")


class Run:
    """One run of the command, in a process group of its own."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.out = folder / "out"
        command = [sys.executable, "-m", "fedsiege.cli.main", "sim", *SPEC, *options]
        self._process = subprocess.Popen(
            [*command, f"--out={self.out}", f"--data={folder}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "200", **environment},
        )
        self.printed = ""

    def wait_for(self, text: str) -> None:
        """Read the output until a text is printed."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.printed += line
            if text in line:
                return
        raise AssertionError(self.printed)

    def end(self, number: signal.Signals | None = None) -> int:
        """Wait for the end, after a signal if one is given; return the exit status."""
        if number is not None:
            self._process.send_signal(number)
        self.printed += self._process.communicate(timeout=PATIENCE)[0]
        return self._process.returncode

    def table(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader((self.out / name).read_text().splitlines()))

    def log(self, worker: str) -> str:
        return (self.out / "logs" / f"{worker}.log").read_text()


@pytest.fixture
def start_run(image: str, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*options: str, engine: str = "docker", **environment: str) -> Run:
        folder = tmp_path / f"run-{len(runs)}"
        folder.mkdir()
        runs.append(Run(folder, f"--engine={engine}", *options, **environment))
        return runs[-1]

    yield start
    for one in runs:
        one.end(signal.SIGTERM)


@pytest.fixture
def run_containers(docker: Callable[..., str]) -> Callable[[], dict[str, str]]:
    """Return the containers of all runs, by worker."""

    def listed_now() -> dict[str, str]:
        layout = '{{.Label "fedsiege.worker"}} {{.ID}}'
        listed = docker("ps", "--all", "--filter=label=fedsiege.run", f"--format={layout}")
        return dict(line.split() for line in listed.splitlines())

    return listed_now


@pytest.fixture
def check_nothing_is_left(docker, run_containers) -> Callable[[], None]:
    def check() -> None:
        assert run_containers() == {}
        assert docker("network", "ls", "--quiet", "--filter=label=fedsiege.run") == ""

    return check


def test_containers_and_processes_give_the_same_history(start_run, check_nothing_is_left):
    runs = [start_run("--rounds=3", engine=engine) for engine in ("docker", "local")]
    for one in runs:
        assert one.end() == 0, one.printed
    containers, processes = (
        [(row["accuracy"], row["loss"], row["updates"]) for row in one.table("history.csv")]
        for one in runs
    )
    assert containers == processes
    assert len(containers) == 4
    check_nothing_is_left()

    run = runs[0]
    samples = run.table("containers.csv")
    workers = {"client-1", "client-2", "client-3", "client-4", "attacker-1"}
    assert {row["container"] for row in samples} == workers
    last = {row["container"]: row for row in samples}
    for row in last.values():
        assert row["state"] == "running"
        assert row["round"] == "3"
        assert float(row["cpu_seconds"]) > 0.3, "importing torch alone takes that"
        assert 50 << 20 < int(row["memory"]) <= int(row["memory_peak"]) < 1 << 30
    assert "5 containers: memory" in run.printed
    for worker in workers:
        assert "experiment" in run.log(worker)


def test_faults_cost_only_updates(start_run, check_nothing_is_left):
    run = start_run("--rounds=4", "--faults=kill:0.25,pause:0.25,slow:0.25", "--deadline=4")
    assert run.end() == 0, run.printed
    check_nothing_is_left()
    history, faults = run.table("history.csv"), run.table("faults.csv")
    assert [row["round"] for row in history] == ["0", "1", "2", "3", "4"]
    rows = run.table("participants.csv")
    for row in history[1:]:
        number = row["round"]
        accepted = [r for r in rows if r["round"] == number and r["outcome"] == "accepted"]
        assert len(accepted) == int(row["updates"])
        assert len({r["index"] for r in accepted}) == len(accepted), "no participant counts twice"
    first_round = [fault for fault in faults if fault["round"] == "1"]
    assert sorted(fault["fault"] for fault in first_round) == ["kill", "pause", "slow"]
    assert len({fault["container"] for fault in first_round}) == 3
    for fault in faults:
        hit = [r for r in rows if r["round"] == fault["round"]]
        own = [r for r in hit if r["identity"].startswith(fault["container"] + "/")]
        assert fault["participants"] == " ".join(r["index"] for r in own)
        assert fault["accepted"] == str(sum(r["outcome"] == "accepted" for r in own))
        if fault["fault"] == "pause":
            assert fault["accepted"] == "0"
    assert len({r["identity"] for r in rows}) == 5, "the same participants come back"
    last = {row["container"]: row["state"] for row in run.table("containers.csv")}
    assert set(last.values()) == {"running"}, "all faults have ended"


def test_a_container_that_dies_is_logged_and_started_again(
    start_run, docker, run_containers, check_nothing_is_left
):
    run = start_run("--rounds=100000", "--deadline=3")
    run.wait_for("round 1/")
    container = run_containers()["client-2"]
    (described,) = json.loads(docker("inspect", container))
    docker("kill", container)
    run.wait_for("container client-2 ended with status 137")
    run.wait_for("worker client-2 is back")
    assert run.end(signal.SIGINT) == 1
    assert "Stopped" in run.printed
    check_nothing_is_left()
    assert {row["container"] for row in run.table("containers.csv")} >= {"client-2"}

    host, config = described["HostConfig"], described["Config"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Init"]
    assert host["Memory"] == 1 << 30
    assert host["CpuQuota"] == host["CpuPeriod"]
    assert config["User"] == "fedsiege"
    assert [mount["RW"] for mount in described["Mounts"]] == [False]
    (network,) = described["NetworkSettings"]["Networks"].values()
    assert network["Gateway"] in run.printed


def test_leftovers_of_a_killed_run_are_removed_by_the_next(
    start_run, docker, run_containers, check_nothing_is_left
):
    killed = start_run("--rounds=2")
    killed.wait_for("containers started")
    killed.end(signal.SIGKILL)
    left = set(run_containers().values())
    assert len(left) == 5
    alive = start_run("--rounds=100000")
    alive.wait_for("containers started")
    started = set(run_containers().values())
    assert len(started) == 5
    assert not started & left
    third = start_run("--rounds=2")
    third.wait_for("aggregator ")
    assert third.end(signal.SIGTERM) == 1, "while containers start"
    assert set(run_containers().values()) == started, "a living run keeps its containers"
    alive.end(signal.SIGTERM)
    check_nothing_is_left()


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        (["--image=fedsiege:none"], {}, "The Docker engine has no image fedsiege:none"),
        ([], {"DOCKER_HOST": "unix:///nowhere"}, "No Docker engine answers at unix:///nowhere"),
        (["--faults=kill:2"], {}, "FAULTS='kill:2' is not possible"),
        (["--memory=1k"], {}, "could not be started: Minimum memory limit"),
    ],
)
def test_errors_are_messages_without_a_traceback(
    start_run, check_nothing_is_left, options, environment, message
):
    run = start_run(*options, **environment)
    assert run.end() == 2
    assert message in run.printed
    assert "Traceback" not in run.printed
    check_nothing_is_left()
