"""``docker compose up --scale client=5``, and what a user does with the federation."""

import csv
import os
from pathlib import Path

import pytest

ROUNDS = 3


@pytest.fixture(scope="module")
def federation(make_federation):
    federation = make_federation(ROUNDS=str(ROUNDS))
    federation.up(clients=5)
    federation.until(lambda: len(federation.workers()) == 6)
    return federation


@pytest.fixture
def open_experiment(federation):
    """A running experiment that new workers can join."""
    federation.up(clients=5)
    experiment = federation.start(clients=0, rounds=1_000_000, deadline=5)
    federation.until(lambda: federation.updates(experiment) == 6)  # five, and a fake
    yield experiment
    federation.cancel(experiment)


def test_the_default_experiment_runs_and_its_results_are_on_the_host(federation):
    federation.until(lambda: federation.first()["state"] == "EXPERIMENT_STATE_FINISHED")
    history = federation.first()["historicalAccuracy"]
    assert len(history) == ROUNDS + 1
    assert [entry["updates"] for entry in history[1:]] == [6] * ROUNDS
    assert f"round {ROUNDS}/{ROUNDS}: accuracy" in federation.compose("logs", "simulator")
    assert "using digits" in federation.compose("logs", "simulator"), (
        "without a data set digits are used, with a warning"
    )
    folder = federation.folder / "runs" / Path(federation.first()["results"]).name
    tables = {"history.csv", "participants.csv", "classes.csv", "confusion.csv", "detection.csv"}
    others = {"spec.yaml", "run.json", "accuracy.png", "recall.png", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == tables | others
    assert {path.stat().st_uid for path in (folder.parent, folder, *folder.iterdir())} == {1000}


def test_no_service_has_capabilities_or_can_write_outside_its_folders(federation, docker):
    containers = federation.containers()
    assert len(containers) == 8
    for container in containers:
        assert {user for _, user, _ in federation.programs(container)} == {1000}
        status = Path(f"/proc/{federation.service_in(container)}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        docker("exec", "--user=root", container, "touch", "/opt/x", status=1)
        docker("exec", container, "touch", "/tmp/x")  # the only writable folder besides the results
        mounts = docker(
            "inspect", "--format", "{{range .Mounts}}{{.Destination}} {{.RW}},{{end}}", container
        )
        assert "/data true" not in mounts


def test_new_workers_join_a_running_experiment(federation, open_experiment):
    before = len(federation.history(open_experiment))
    federation.up(clients=8)
    federation.until(lambda: federation.updates(open_experiment) == 10)  # eight, and two fakes
    assert len(federation.history(open_experiment)) > before


def test_a_killed_container_costs_only_its_own_updates(federation, open_experiment, docker):
    killed = federation.containers("client")[0]
    before = len(federation.history(open_experiment))
    docker("kill", killed)
    federation.until(lambda: federation.updates(open_experiment) == 5)  # four, and a fake
    history = federation.history(open_experiment)
    assert [entry.get("round", 0) for entry in history] == list(range(len(history)))
    assert {entry["updates"] for entry in history[before:]} == {5, 6}
    docker("start", killed)
    federation.until(lambda: federation.updates(open_experiment) == 6)


def test_a_worker_that_dies_is_started_again_as_the_same_participant(federation, open_experiment):
    before = federation.enrolled(open_experiment)
    container = federation.containers("client")[0]
    os.kill(federation.service_in(container), 9)
    gone = f"client-{container[:12]} is gone"
    federation.until(
        lambda: any(gone in note for note in federation.experiment(open_experiment)["notes"])
    )
    federation.until(lambda: federation.updates(open_experiment) == 6)
    assert federation.enrolled(open_experiment) == before


def test_a_compromised_participant_trains_and_the_audit_quarantines_it(federation):
    """Its update is scaled by 1000, which makes its norm the largest."""
    federation.up(clients=5)
    attack = {"attack": 1 / 6, "attack_name": "scaling:factor=1000"}
    # From random weights all honest updates have similar norms.
    experiment = federation.start(clients=6, **attack, audit="norm", rounds=3, init="random")
    over = "EXPERIMENT_STATE_FINISHED"
    federation.until(lambda: federation.experiment(experiment)["state"] == over)
    ended = federation.experiment(experiment)
    assert any("compromised participants would have sent" in note for note in ended["notes"])
    (hostile,) = ended["hostileIndices"]
    history = ended["historicalAccuracy"][1:]
    rounds = [(entry["updates"], entry.get("quarantined", 0)) for entry in history]
    assert rounds == [(5, 1)] * 3
    for one in federation.participants(experiment):
        out = one.get("participantIndex", 0) == hostile
        assert one["outcome"] == ("OUTCOME_QUARANTINED" if out else "OUTCOME_ACCEPTED")
        assert one["standing"] == ("STANDING_QUARANTINED" if out else "STANDING_GOOD")
        assert [verdict["detector"] for verdict in one["verdicts"]] == ["norm"]
    results = federation.folder / "runs" / Path(ended["results"]).name
    with (results / "detection.csv").open() as file:
        audit = [row for row in csv.DictReader(file) if row["detector"] == "audit"]
    assert [(float(row["tpr"]), float(row["fpr"])) for row in audit] == [(1, 0)] * 3


def test_workers_survive_a_restart_of_the_aggregator(federation, open_experiment):
    federation.compose("restart", "aggregator")
    federation.until(
        lambda: federation.experiment(open_experiment)["state"] == "EXPERIMENT_STATE_FAILED"
    )
    assert "aggregator" in federation.experiment(open_experiment)["problem"]
    after = federation.start(clients=6, attack=0.2, rounds=2)
    federation.until(lambda: federation.experiment(after)["state"] == "EXPERIMENT_STATE_FINISHED")
    assert federation.updates(after) == 6


def test_down_writes_the_results_and_removes_everything(make_federation, docker):
    def things(name: str) -> list[str]:
        label = f"label=com.docker.compose.project={name}"
        commands = (["ps", "--all"], ["network", "ls"], ["volume", "ls"])
        return [docker(*command, "--quiet", "--filter", label) for command in commands]

    volumes = docker("volume", "ls", "--quiet")
    federation = make_federation(ROUNDS="1000000")
    federation.up(clients=1)
    federation.until(lambda: federation.updates(federation.first()["experimentId"]) == 1)
    federation.down()
    assert things(federation.name) == ["", "", ""]
    assert docker("volume", "ls", "--quiet") == volumes
    (results,) = (federation.folder / "runs").iterdir()
    assert (results / "model.safetensors").stat().st_size > 0
