"""``fedsiege certs`` as people type it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fedsiege.cli import certs
from fedsiege.errors import FedSiegeError
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.bundle import Bundle
from fedsiege.services.identity.callers import Role, caller_in
from fedsiege.services.identity.tls import Tls


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(certs.app, arguments)


def say(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.output or done.exception
    return done.output


def refused(*arguments: str) -> str:
    """Run what must be refused; return the sentence that the command line then prints."""
    done = run(*arguments)
    assert isinstance(done.exception, FedSiegeError), done.output
    return str(done.exception)


def row(name: str, table: str) -> str:
    (line,) = [line for line in table.splitlines() if line.startswith(f"{name} ")]
    return line


def test_init_makes_everything_a_federation_begins_with():
    output = say("init", "--host", "fl.example", "--host", "10.0.0.7")
    assert "grpcurl -cacert certs/operator/ca.pem" in output
    assert "certs issue client-01" in output
    roles = {}
    for name in ("aggregator", "simulator", "operator"):
        caller = caller_in(Bundle.read(Path("certs") / name).certificate)
        roles[caller.name] = (caller.role, caller.participants)
    assert roles == {
        "aggregator": (Role.PARTICIPANT, 0),
        "simulator": (Role.CONTROL, 0),
        "operator": (Role.CONTROL, 0),
    }
    for name in ("aggregator", "simulator"):
        assert Tls(Path("certs") / name).server_credentials()
        for host in (name, "localhost", "127.0.0.1", "::1", "fl.example", "10.0.0.7"):
            assert host in row(name, output).split()


def test_a_second_init_changes_nothing():
    say("init")
    key = Path("certs/ca/key.pem").read_bytes()
    assert "it has a CA already" in refused("init")
    assert Path("certs/ca/key.pem").read_bytes() == key


@pytest.mark.parametrize("wrong", [("--host", "a b"), ("--days", "0"), ("--days", "99999")])
def test_an_init_that_cannot_be_finished_is_not_begun(here, wrong):
    assert wrong[0].strip("-").upper() in refused("init", *wrong)
    assert list(here.iterdir()) == []


def test_issue_makes_many_under_numbered_names():
    say("init", "--folder", "mine")
    output = say("issue", "client-08", "--count=5", "--places=20", "--days=30", "--folder=mine")
    assert (
        "mine/client-08 … mine/client-12: 5 certificates, role participant, 20 participants"
        in output
    )
    assert "--certs mine/client-08" in output
    names = sorted(path.name for path in Path("mine").glob("client-*"))
    assert names == ["client-08", "client-09", "client-10", "client-11", "client-12"]
    assert Tls(Path("mine/client-12")).participants == 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["client", "--count=3"], "client-01"),
        (["client-1", "--count=0"], "COUNT=0"),
        (["client-1", "--count=10001"], "COUNT=10001"),
        (["../client-1"], "NAME='../client-1'"),
        (["client-1", "--participants=0.5"], None),
        (["aggregator-2", "--role=server"], "HOST"),
        (["client-1", "--host=here"], "PARTICIPANTS"),
        (["simulator"], "certs renew"),
    ],
)
def test_issue_says_what_is_wrong(arguments, words):
    say("init")
    before = sorted(Path("certs").iterdir())
    if words is None:
        assert run("issue", *arguments).exit_code == 2
    else:
        assert words in refused("issue", *arguments)
    assert sorted(Path("certs").iterdir()) == before


@pytest.mark.parametrize(
    "arguments", [["issue", "a"], ["renew", "a"], ["revoke", "a"], ["list"]], ids=lambda a: a[0]
)
def test_without_a_ca_it_says_how_to_make_one(arguments):
    assert "fedsiege certs init" in refused(*arguments)


@pytest.mark.parametrize(
    ("role", "caller"),
    [("server", (Role.PARTICIPANT, 0)), ("control", (Role.CONTROL, 0))],
)
def test_more_servers_and_operators_can_be_made(role, caller):
    say("init")
    say("issue", "second", f"--role={role}", "--host=second.example")
    made = caller_in(Bundle.read(Path("certs/second")).certificate)
    assert (made.role, made.participants) == caller
    assert Tls(Path("certs/second")).server_credentials()


def test_renew_and_revoke_show_in_the_list():
    say("init")
    say("issue", "client-1", "--count=3")
    output = say("renew", "client-2", "--days=3")
    old, new = [one for one in Authority(Path("certs")).issued() if one.name == "client-2"]
    assert f"--serial {old.serial:016x}" in output
    assert "1 certificate revoked" in say("revoke", "client-2", "--serial", f"{old.serial:x}")
    output = say("revoke", "client-3")
    assert "client-3: 1 certificate revoked" in output
    assert "certs/aggregator/revoked.pem" in output
    table = say("list")
    states = [line for line in table.splitlines() if line.startswith("client-2 ")]
    assert "revoked" in states[0]
    assert f"{old.serial:016x}" in states[0]
    assert " good " in states[1]
    assert f"{new.serial:016x}" in states[1]
    assert " good " in row("client-1", table)
    assert "revoked" in row("client-3", table)
    assert " server " in row("aggregator", table)
    assert "0 certificates revoked" in say("revoke", "client-3")


def test_a_window_of_80_columns_lists_names_and_hosts(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    say("init", "--host", "fl.example")
    say("issue", "client-1")
    say("revoke", "client-1")
    (serial,) = (one.serial for one in Authority(Path("certs")).issued() if one.name == "client-1")
    table = say("list")
    words = table.split()
    for word in ("name", "hosts", "client-1", "aggregator", "revoked", f"{serial:016x}"):
        assert word in words
    assert "fl.example" in words
    assert max(map(len, table.splitlines())) <= 80


def test_what_does_not_exist_is_named():
    say("init")
    assert "NAME='client-9'" in refused("revoke", "client-9")
    assert "NAME='client-9'" in refused("renew", "client-9")
    assert "SERIAL='xyz'" in refused("revoke", "operator", "--serial=xyz")
    assert "SERIAL=" in refused("revoke", "operator", "--serial=7b")


def test_a_certificate_that_ends_soon_is_marked(monkeypatch):
    from datetime import timedelta

    from fedsiege.services.identity import bundle

    say("init")
    say("issue", "brief", "--days=3")
    now = bundle.utc_now()
    monkeypatch.setattr(bundle, "utc_now", lambda: now + timedelta(days=2, hours=12))
    assert "ends soon" in row("brief", say("list"))
    assert " good " in row("operator", say("list"))
    monkeypatch.setattr(bundle, "utc_now", lambda: now + timedelta(days=4))
    assert "expired" in row("brief", say("list"))
