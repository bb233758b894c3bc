"""Identities of workers: a folder that processes share, each identity claimed by one of them."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.services.identity import identity
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.identity import Identity, claim_identity, load_identity, read_tokens

PATIENCE = 20.0
#: A process that claims an identity, prints it, and keeps it until its input ends.
CLAIM = (
    "import asyncio, sys, pathlib; from fedsiege.services.identity.identity import claim_identity\n"
    "found = asyncio.run(claim_identity(pathlib.Path(sys.argv[1])))\n"
    "print(found.name, found.secret.hex(), flush=True)\n"
    "sys.stdin.read()\n"
)


class Replica:
    """Another process that claims an identity."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def identity(self) -> tuple[str, bytes]:
        name, secret = self.process.stdout.readline().split()
        return name, bytes.fromhex(secret)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def replicas():
    started: list[Replica] = []

    def start(folder: Path, count: int) -> list[Replica]:
        started.extend(more := [Replica(folder) for _ in range(count)])
        return more

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three identities with two tokens each."""
    made = tmp_path / "identities"
    made.mkdir()
    for name in ("a", "b", "c"):
        (made / f"{name}.tokens").write_text(f"first-of-{name}\nsecond-of-{name}\n")
    return made


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(identity, "_FIRST_PAUSE", 0.005)
    monkeypatch.setattr(identity, "_LONGEST_PAUSE", 0.01)


async def claimed(folder: Path) -> Identity:
    return await asyncio.wait_for(claim_identity(folder), PATIENCE)


def release(found: Identity) -> None:
    os.close(found.lock)


async def test_replicas_claim_one_identity_each_and_a_successor_a_dead_ones(folder, replicas):
    folder.chmod(0o555)
    first, second = replicas(folder, 2)
    claims = dict([first.identity(), second.identity()])
    assert len(claims) == 2
    assert len(set(claims.values())) == 2
    ours = await claimed(folder)
    assert {ours.name, *claims} == {"a", "b", "c"}
    waiting = asyncio.create_task(claimed(folder))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "all are claimed"
    left, secret = next(iter(claims.items()))
    first.kill()
    found = await waiting
    assert (found.name, found.secret) == (left, secret)
    release(ours)
    release(found)


async def test_an_identity_has_a_name_tokens_and_a_secret_that_lasts(folder):
    found = await claimed(folder)
    name = found.name
    assert found.tokens == (f"first-of-{name}", f"second-of-{name}")
    assert found.tls is None
    assert len(found.secret) == 32
    assert not any(token.encode() in found.secret for token in found.tokens)
    release(found)
    assert (await claimed(folder)).secret == found.secret


async def test_processes_do_not_all_try_the_same_identity_first(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / f"w{number}.tokens").write_text(f"token {number}")
    names = set()
    for process in range(20):
        monkeypatch.setattr(identity.os, "getpid", lambda number=process: number)
        found = await claimed(tmp_path)
        names.add(found.name)
        release(found)
    assert len(names) > 10


async def test_waiting_is_logged_once_and_ends_when_an_identity_is_added(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    waiting = asyncio.create_task(claimed(tmp_path))
    await asyncio.sleep(0.05)
    assert [record.message for record in caplog.records] == [
        f"none of the 0 identities in {tmp_path} is free; waiting"
    ]
    (tmp_path / "late.tokens").write_text("token")
    found = await waiting
    assert found.name == "late"
    release(found)


async def test_bundles_are_identities_and_other_files_are_passed_over(tmp_path, caplog):
    authority = Authority.create(tmp_path)
    authority.issue("server", participants=0, hosts=("localhost",))
    authority.issue("w1", participants=7)
    (tmp_path / "empty.tokens").write_text("\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.txt").write_text("not an identity")
    found = await claimed(tmp_path)
    assert (found.name, found.tls.name, found.tls.participants, found.tokens) == ("w1", "w1", 7, ())
    waiting = asyncio.create_task(claimed(tmp_path))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "the CA, a server and an empty file are no identities"
    assert "identity empty" in caplog.text
    authority.renew("w1")
    await asyncio.sleep(0.05)
    assert not waiting.done(), "renewing a bundle does not release its identity"
    release(found)
    assert (await waiting).name == "w1"


async def test_an_identity_may_have_tokens_and_a_certificate(tmp_path):
    Authority.create(tmp_path / "certs").issue("w1", participants=2)
    (tmp_path / "identities").mkdir()
    (tmp_path / "certs" / "w1").rename(tmp_path / "identities" / "w1")
    (tmp_path / "identities" / "w1.tokens").write_text("one two")
    found = await claimed(tmp_path / "identities")
    assert (found.name, found.tokens, found.tls.name) == ("w1", ("one", "two"), "w1")
    release(found)


async def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidValue, match="nowhere"):
        await claimed(tmp_path / "nowhere")


def test_name_tokens_and_secret_follow_from_the_options(tmp_path, monkeypatch):
    tokens = tmp_path / "t"
    tokens.write_text("one\ntwo\n\n")
    assert load_identity(None, None, None, "default") == Identity("default")
    assert load_identity("given", None, None, "default").name == "given"
    with_tokens = load_identity(None, tokens, None, "default")
    assert with_tokens.tokens == ("one", "two")
    assert "two" not in repr(with_tokens)
    monkeypatch.setenv("FEDSIEGE_SECRET", "lasting")
    assert load_identity(None, None, None, "default").secret == b"lasting"
    assert load_identity(None, tokens, None, "default") == with_tokens, "tokens come first"


def test_the_certificate_decides_the_name(tmp_path):
    authority = Authority.create(tmp_path)
    authority.issue("w1", participants=3)
    authority.issue("w2")
    assert load_identity(None, None, tmp_path / "w1", "default").name == "w1"
    assert load_identity("w1", None, tmp_path / "w1", "default").name == "w1"
    secrets = {load_identity(None, None, tmp_path / name, "").secret for name in ("w1", "w2")}
    assert len(secrets) == 2
    with pytest.raises(InvalidValue, match="'w1'"):
        load_identity("w2", None, tmp_path / "w1", "default")
    found = load_identity(None, None, tmp_path / "w1", "default")
    found.check_covers(3, warn_only=False)
    with pytest.raises(InvalidValue, match="up to 3, the number of participants in"):
        found.check_covers(4, warn_only=False)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_file_without_tokens_is_named(tmp_path, content):
    path = tmp_path / "mine"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidValue, match="mine"):
        read_tokens(path)


def test_too_few_tokens_are_logged_or_refused(caplog):
    few = Identity("w", tokens=("one", "two"))
    few.check_covers(2, warn_only=False)
    with pytest.raises(InvalidValue, match="up to 2, the number of tokens"):
        few.check_covers(3, warn_only=False)
    few.check_covers(3, warn_only=True)
    assert "3 participants, but only 2 tokens" in caplog.text
