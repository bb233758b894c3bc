"""Tokens and certificates in containers: who gets in, who does not, and who is put out."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from services.identity.authority import Authority
from services.identity.callers import Role

CLIENTS = 3
LEAKED = 1
#: Half of all are to be fakes, as many as there are clients, and one of them has a credential.
EVERYONE = CLIENTS + LEAKED
#: Whose folder it is: root's, so that containers run as the image's user, and somebody's.
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
def endless(federation) -> str:
    """An experiment that runs, open to whoever comes."""
    finished = "EXPERIMENT_STATE_FINISHED"
    federation.until(lambda: federation.first()["state"] == finished)
    experiment = federation.start(clients=0, attack=0.5, rounds=1_000_000, deadline=3)
    federation.until(lambda: federation.updates(experiment) == EVERYONE)
    return experiment


def test_all_clients_take_part_and_only_the_fake_that_leaked(federation, mode):
    federation.until(lambda: federation.first()["state"] == "EXPERIMENT_STATE_FINISHED")
    experiment = federation.first()
    history = experiment["historicalAccuracy"]
    assert [entry["updates"] for entry in history[1:]] == [EVERYONE] * 2
    names = {f"client-{number:02}/0" for number in range(1, CLIENTS + 1)}
    assert set(federation.roll(experiment["experimentId"])) == {*names, "attacker/0"}
    refused = f"{CLIENTS - LEAKED} of {CLIENTS} hostile participants were refused enrolment"
    assert refused in experiment["notes"]


def test_what_else_the_attacker_tries_is_refused(federation, endless, mode):
    (path,) = federation.folder.glob("runs/*/intrusions.csv")
    with path.open() as file:
        rows = {row["intrusion"]: row for row in csv.DictReader(file)}
    reasons = {
        "token": {"sybils": "UNKNOWN_TOKEN", "token-reuse": "TOKEN_USED"},
        "mtls": {"sybils": "FOREIGN_IDENTITY", "token-reuse": "FOREIGN_IDENTITY"},
    }[mode]
    if mode == "mtls":  # tokens leave the control plane to the network around it
        reasons["control"] = "CONTROL_ONLY"
    for name, reason in reasons.items():
        row = rows[name]
        assert row["succeeded"] == "0"
        assert row["refusals"] == f"{reason}:{row['tried']}"
    assert rows["sybils"]["tried"] == "50"


def test_a_killed_client_takes_its_place_back(federation, endless, docker):
    before = federation.roll(endless)
    assert len(before) == EVERYONE
    killed = federation.containers("client")[0]
    docker("kill", killed)
    federation.until(lambda: federation.updates(endless) == 2 * (CLIENTS - 1) - 1)
    docker("start", killed)
    federation.until(lambda: federation.updates(endless) == EVERYONE)
    assert federation.roll(endless) == before


def test_everything_is_whose_the_folder_is(federation, endless, mode):
    owner = OWNERS[mode] or 1000
    for container in federation.containers():
        assert {user for _, user, _ in federation.programs(container)} == {owner}
    results = list((federation.folder / "runs").rglob("*"))
    assert {path.stat().st_uid for path in results} == {owner}


def test_no_container_sees_what_is_anothers(federation, docker, mode):
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
    """Return what a caller shows that trusts an authority and has a bundle, or none."""
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
def test_a_server_with_certificates_answers_to_nobody_without(federation, mode, service, tmp_path):
    if mode == "token":
        pytest.skip("tokens do not close the line")
    address = federation.address(service)
    operator = federation.folder / "admission/operator"
    Authority.create(tmp_path).issue("operator", Role.CONTROL)  # another authority's
    answers = [
        ask(grpc.secure_channel(address, credentials(bundle, operator)))
        for bundle in (operator, None, tmp_path / "operator")
    ]
    ok, refused = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
    assert answers == [ok, refused, refused]
    assert ask(grpc.insecure_channel(address)) == refused


def test_who_is_revoked_is_out_without_a_restart(federation, endless, mode):
    if mode == "token":
        ledger = "--ledger=admission/aggregator/tokens.sqlite"
        fedsiege(federation, "tokens", "revoke", "--identity=client-02/0", ledger)
    else:
        fedsiege(federation, "certs", "revoke", "client-02", "--folder=admission/authority")
    federation.until(lambda: federation.updates(endless) == EVERYONE - 1)
