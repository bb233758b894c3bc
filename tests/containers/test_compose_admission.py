"""Tokens and certificates in containers: which participants are admitted, refused and revoked."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.callers import Role

CLIENTS = 3
LEAKED = 1
#: Half of the participants are fakes, as many as clients, and one of them has a credential.
ALL = CLIENTS + LEAKED
#: The owner of the folder: root, so that containers run as the image's user, and another user.
OWNERS = {"token": 0, "mtls": 4321}
SETTINGS = {
    "ATTACK": "0.5",
    "DATASET": "digits",
    "ROUNDS": "2",
    "MIN_CLIENTS": str(CLIENTS),
    "INTRUSIONS": "sybils:50,token-reuse,control",
}


def fedsiege(federation, *arguments: str) -> str:
    """Run the command line in the folder of a federation."""
    command = [sys.executable, "-m", "fedsiege.cli.main", *arguments]
    done = subprocess.run(
        command, cwd=federation.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["token", "mtls"])
def mode(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def federation(make_federation, mode):
    owner = OWNERS[mode]
    settings = SETTINGS | ({"OWNER": f"{owner}:{owner}"} if owner else {})
    federation = make_federation(overlay=f"docker/{mode}.yml", **settings)
    os.chown(federation.folder, owner, owner)
    fedsiege(federation, "admission", mode, f"--clients={CLIENTS}", f"--leaked={LEAKED}")
    federation.up(clients=CLIENTS)
    federation.until(lambda: len(federation.workers()) == CLIENTS + 1)
    yield federation
    federation.down()  # the other mode needs the processors


@pytest.fixture(scope="module")
def open_experiment(federation) -> str:
    """A running experiment that new workers can join."""
    finished = "EXPERIMENT_STATE_FINISHED"
    federation.until(lambda: federation.first()["state"] == finished)
    experiment = federation.start(clients=0, attack=0.5, rounds=1_000_000, deadline=3)
    federation.until(lambda: federation.updates(experiment) == ALL)
    return experiment


def test_all_clients_take_part_and_only_the_fake_with_a_leaked_credential(federation, mode):
    federation.until(lambda: federation.first()["state"] == "EXPERIMENT_STATE_FINISHED")
    experiment = federation.first()
    history = experiment["historicalAccuracy"]
    assert [entry["updates"] for entry in history[1:]] == [ALL] * 2
    names = {f"client-{number:02}/0" for number in range(1, CLIENTS + 1)}
    assert set(federation.enrolled(experiment["experimentId"])) == {*names, "attacker/0"}
    refused = f"{CLIENTS - LEAKED} of {CLIENTS} hostile participants were refused enrolment"
    assert refused in experiment["notes"]


def test_the_intrusions_of_the_attacker_are_refused(federation, open_experiment, mode):
    (path,) = federation.folder.glob("runs/*/intrusions.csv")
    with path.open() as file:
        rows = {row["intrusion"]: row for row in csv.DictReader(file)}
    reasons = {
        "token": {"sybils": "UNKNOWN_TOKEN", "token-reuse": "TOKEN_USED"},
        "mtls": {"sybils": "FOREIGN_IDENTITY", "token-reuse": "FOREIGN_IDENTITY"},
    }[mode]
    if mode == "mtls":  # tokens do not protect the control plane
        reasons["control"] = "CONTROL_ONLY"
    for name, reason in reasons.items():
        row = rows[name]
        assert row["succeeded"] == "0"
        assert row["refusals"] == f"{reason}:{row['tried']}"
    assert rows["sybils"]["tried"] == "50"


def test_a_killed_client_comes_back_as_the_same_participant(federation, open_experiment, docker):
    before = federation.enrolled(open_experiment)
    assert len(before) == ALL
    killed = federation.containers("client")[0]
    docker("kill", killed)
    federation.until(lambda: federation.updates(open_experiment) == 2 * (CLIENTS - 1) - 1)
    docker("start", killed)
    federation.until(lambda: federation.updates(open_experiment) == ALL)
    assert federation.enrolled(open_experiment) == before


def test_processes_and_results_belong_to_the_owner_of_the_folder(federation, open_experiment, mode):
    owner = OWNERS[mode] or 1000
    for container in federation.containers():
        assert {user for _, user, _ in federation.programs(container)} == {owner}
    results = list((federation.folder / "runs").rglob("*"))
    assert {path.stat().st_uid for path in results} == {owner}


def test_each_container_sees_only_its_own_credentials(federation, docker, mode):
    shown = {
        "token": {"aggregator": {"tokens.sqlite"}, "simulator": set()},
        "mtls": {
            server: {"ca.pem", "certificate.pem", "key.pem", "revoked.pem"}
            for server in ("aggregator", "simulator")
        },
    }[mode]
    suffix = ".tokens" if mode == "token" else ""
    shown["attacker"] = {f"attacker{suffix}"}
    shown["client"] = {f"client-{number:02}{suffix}" for number in range(1, CLIENTS + 1)}
    for service, names in shown.items():
        container = federation.containers(service)[0]
        listed = docker("exec", container, "sh", "-c", "ls /admission 2>/dev/null || true").split()
        assert {name for name in listed if not name.endswith(("-wal", "-shm"))} == names


def credentials(bundle: Path | None, authority: Path) -> grpc.ChannelCredentials:
    """Return the credentials of a caller that trusts a CA and has a bundle, or none."""
    mine = (
        [(bundle / f"{name}.pem").read_bytes() for name in ("key", "certificate")] if bundle else []
    )
    return grpc.ssl_channel_credentials((authority / "ca.pem").read_bytes(), *mine)


def ask(channel: grpc.Channel) -> grpc.StatusCode:
    with channel:
        try:
            HealthStub(channel).Check(HealthCheckRequest(), timeout=10)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


@pytest.mark.parametrize("service", ["aggregator", "simulator"])
def test_a_server_with_certificates_refuses_callers_without(federation, mode, service, tmp_path):
    if mode == "token":
        pytest.skip("with tokens there is no TLS")
    address = federation.address(service)
    operator = federation.folder / "admission/operator"
    Authority.create(tmp_path).issue("operator", Role.CONTROL)  # of another CA
    answers = [
        ask(grpc.secure_channel(address, credentials(bundle, operator)))
        for bundle in (operator, None, tmp_path / "operator")
    ]
    ok, refused = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
    assert answers == [ok, refused, refused]
    assert ask(grpc.insecure_channel(address)) == refused


def test_a_revoked_client_is_refused_without_a_restart(federation, open_experiment, mode):
    if mode == "token":
        ledger = "--ledger=admission/aggregator/tokens.sqlite"
        fedsiege(federation, "tokens", "revoke", "--identity=client-02/0", ledger)
    else:
        fedsiege(federation, "certs", "revoke", "client-02", "--folder=admission/authority")
    federation.until(lambda: federation.updates(open_experiment) == ALL - 1)
