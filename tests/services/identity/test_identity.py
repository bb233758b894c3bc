"""Places: a folder of entries that processes share, each entry held by one."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedsiege.errors import InvalidValue
from services.identity import identity
from services.identity.authority import Authority
from services.identity.identity import Identity, read_tokens, settle, take

PATIENCE = 20.0
#: A process that takes a place, says which, and holds it until its input ends.
TAKE = (
    "import asyncio, sys, pathlib; from services.identity.identity import take\n"
    "found = asyncio.run(take(pathlib.Path(sys.argv[1])))\n"
    "print(found.name, found.secret.hex(), flush=True)\n"
    "sys.stdin.read()\n"
)


class Replica:
    """Another process that takes a place."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE, str(folder)],
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
    """Three places with two tokens each."""
    made = tmp_path / "places"
    made.mkdir()
    for name in ("a", "b", "c"):
        (made / f"{name}.tokens").write_text(f"first-of-{name}\nsecond-of-{name}\n")
    return made


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(identity, "_FIRST_PAUSE", 0.005)
    monkeypatch.setattr(identity, "_LONGEST_PAUSE", 0.01)


async def taken(folder: Path) -> Identity:
    return await asyncio.wait_for(take(folder), PATIENCE)


def give_up(found: Identity) -> None:
    os.close(found.lock)


async def test_replicas_that_race_get_a_place_each_and_a_successor_what_it_left(folder, replicas):
    folder.chmod(0o555)
    first, second = replicas(folder, 2)
    places = dict([first.identity(), second.identity()])
    assert len(places) == 2
    assert len(set(places.values())) == 2
    ours = await taken(folder)
    assert {ours.name, *places} == {"a", "b", "c"}
    waiting = asyncio.create_task(taken(folder))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "all are held"
    left, secret = next(iter(places.items()))
    first.kill()
    found = await waiting
    assert (found.name, found.secret) == (left, secret)
    give_up(ours)
    give_up(found)


async def test_a_place_is_a_name_tokens_and_a_secret_that_lasts(folder):
    found = await taken(folder)
    name = found.name
    assert found.tokens == (f"first-of-{name}", f"second-of-{name}")
    assert found.tls is None
    assert len(found.secret) == 32
    assert not any(token.encode() in found.secret for token in found.tokens)
    give_up(found)
    assert (await taken(folder)).secret == found.secret


async def test_processes_do_not_all_ask_for_the_same_place_first(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / f"w{number}.tokens").write_text(f"token {number}")
    names = set()
    for process in range(20):
        monkeypatch.setattr(identity.os, "getpid", lambda number=process: number)
        found = await taken(tmp_path)
        names.add(found.name)
        give_up(found)
    assert len(names) > 10


async def test_who_finds_none_says_so_once_and_takes_one_that_is_added(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    waiting = asyncio.create_task(taken(tmp_path))
    await asyncio.sleep(0.05)
    assert [record.message for record in caplog.records] == [
        f"none of the 0 places in {tmp_path} is free; waiting for one"
    ]
    (tmp_path / "late.tokens").write_text("token")
    found = await waiting
    assert found.name == "late"
    give_up(found)


async def test_bundles_are_places_and_what_is_none_is_passed_over(tmp_path, caplog):
    authority = Authority.create(tmp_path)
    authority.issue("server", places=0, hosts=("localhost",))
    authority.issue("w1", places=7)
    (tmp_path / "empty.tokens").write_text("\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.txt").write_text("not a place")
    found = await taken(tmp_path)
    assert (found.name, found.tls.name, found.tls.places, found.tokens) == ("w1", "w1", 7, ())
    waiting = asyncio.create_task(taken(tmp_path))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "neither the CA nor the server is a place, nor an empty file"
    assert "place empty" in caplog.text
    authority.renew("w1")
    await asyncio.sleep(0.05)
    assert not waiting.done(), "a place is held though its bundle is renewed"
    give_up(found)
    assert (await waiting).name == "w1"


async def test_a_place_may_have_both(tmp_path):
    Authority.create(tmp_path / "certs").issue("w1", places=2)
    (tmp_path / "places").mkdir()
    (tmp_path / "certs" / "w1").rename(tmp_path / "places" / "w1")
    (tmp_path / "places" / "w1.tokens").write_text("one two")
    found = await taken(tmp_path / "places")
    assert (found.name, found.tokens, found.tls.name) == ("w1", ("one", "two"), "w1")
    give_up(found)


async def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidValue, match="nowhere"):
        await taken(tmp_path / "nowhere")


def test_who_is_told_who_it_is(tmp_path, monkeypatch):
    tokens = tmp_path / "t"
    tokens.write_text("one\ntwo\n\n")
    assert settle(None, None, None, "default") == Identity("default")
    assert settle("told", None, None, "default").name == "told"
    with_tokens = settle(None, tokens, None, "default")
    assert with_tokens.tokens == ("one", "two")
    assert "two" not in repr(with_tokens)
    monkeypatch.setenv("FEDSIEGE_SECRET", "lasting")
    assert settle(None, None, None, "default").secret == b"lasting"
    assert settle(None, tokens, None, "default") == with_tokens, "tokens prove more"


def test_the_certificate_decides_the_name(tmp_path):
    authority = Authority.create(tmp_path)
    authority.issue("w1", places=3)
    authority.issue("w2")
    assert settle(None, None, tmp_path / "w1", "default").name == "w1"
    assert settle("w1", None, tmp_path / "w1", "default").name == "w1"
    secrets = {settle(None, None, tmp_path / name, "").secret for name in ("w1", "w2")}
    assert len(secrets) == 2
    with pytest.raises(InvalidValue, match="'w1'"):
        settle("w2", None, tmp_path / "w1", "default")
    found = settle(None, None, tmp_path / "w1", "default")
    found.check(3, may_lack=False)
    with pytest.raises(InvalidValue, match="up to 3, as there are places"):
        found.check(4, may_lack=False)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_file_without_tokens_is_named(tmp_path, content):
    path = tmp_path / "mine"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidValue, match="mine"):
        read_tokens(path)


def test_too_few_tokens_are_said_or_refused(caplog):
    few = Identity("w", tokens=("one", "two"))
    few.check(2, may_lack=False)
    with pytest.raises(InvalidValue, match="up to 2, as there are tokens"):
        few.check(3, may_lack=False)
    few.check(3, may_lack=True)
    assert "only 2 of 3 participants have tokens" in caplog.text
