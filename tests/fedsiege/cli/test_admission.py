"""``fedsiege admission``, as people type it: what containers show each other."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fedsiege.cli.main import app
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.identity import claim_identity
from fedsiege.services.identity.ledger import Ledger
from fedsiege.services.identity.tls import Tls

ROOT = Path(__file__).parent.parent.parent.parent
FOLDER = Path("admission")
AUTHORITY = FOLDER / "authority"


@pytest.fixture
def admission(tmp_path: Path, monkeypatch):
    """Run the command in an empty folder; return what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["admission", *arguments])
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return run


def entries() -> list[str]:
    return sorted(path.name for path in (FOLDER / "clients").iterdir())


@pytest.mark.parametrize("mode", ["token", "mtls"])
def test_it_says_what_to_type_next(admission, mode):
    printed = admission(mode, "--clients=3")
    assert f"-f docker-compose.yml -f docker/{mode}.yml up --scale client=3" in printed
    overlay = yaml.safe_load((ROOT / f"docker/{mode}.yml").read_text())["services"]
    mounts = [mount for one in overlay.values() for mount in one.get("volumes", [])]
    assert all(Path(mount["source"]).is_dir() for mount in mounts)
    assert FOLDER.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", ["token", "mtls"])
async def test_every_client_finds_an_identity(admission, mode):
    admission(mode, "--clients=3")
    identities = [await claim_identity(FOLDER / "clients") for _ in range(3)]
    assert sorted(one.name for one in identities) == ["client-01", "client-02", "client-03"]
    for one in identities:
        one.check_covers(1, warn_only=False)
        os.close(one.lock)


@pytest.mark.parametrize("mode", ["token", "mtls"])
def test_again_adds_what_lacks_and_changes_nothing_else(admission, mode):
    admission(mode, "--clients=2", "--leaked=3")
    before = {path: path.read_bytes() for path in (FOLDER / "clients").rglob("*") if path.is_file()}
    assert "4 clients, 2 of them new, and for 3 fakes" in admission(mode, "--clients=4")
    assert "4 clients, 0 of them new" in admission(mode, "--clients=1", "--leaked=3")
    assert [name.removesuffix(".tokens") for name in entries()] == [
        f"client-{number:02}" for number in range(1, 5)
    ]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(("leaked", "issued"), [(0, 0), (2, 2)])
def test_the_attacker_has_as_many_tokens_as_leaked(admission, leaked, issued):
    admission("token", "--clients=1", f"--leaked={leaked}")
    tokens = (FOLDER / "attackers/attacker.tokens").read_text().split()
    assert len(tokens) == max(1, leaked)  # one that is worth nothing rather than none
    ledger = Ledger(FOLDER / "aggregator/tokens.sqlite")
    good = sum(one.label == "attacker" for one in ledger.entries())
    assert good == issued
    if not leaked:
        with pytest.raises(FedSiegeError, match="not in the ledger"):
            ledger.redeem({"attacker/0": tokens[0]})
    ledger.close()


@pytest.mark.parametrize("leaked", [0, 2])
def test_the_attackers_certificate_vouches_for_as_many_as_leaked(admission, leaked):
    admission("mtls", "--clients=1", f"--leaked={leaked}")
    attacker = Tls(FOLDER / "attackers/attacker")
    assert (attacker.name, attacker.participants) == ("attacker", leaked)


def test_certificates_can_be_renewed_and_revoked_where_they_are_mounted(admission):
    admission("mtls", "--clients=2")
    authority = Authority(AUTHORITY)
    before = (FOLDER / "clients/client-01/certificate.pem").read_bytes()
    authority.renew("client-01")
    assert (FOLDER / "clients/client-01/certificate.pem").read_bytes() != before
    revoked = [FOLDER / server / "revoked.pem" for server in ("aggregator", "simulator")]
    lists = [path.read_bytes() for path in revoked]
    authority.revoke("client-02")
    assert all(path.read_bytes() != one for path, one in zip(revoked, lists, strict=True))
    links = [path for path in AUTHORITY.iterdir() if path.name != "ca"]
    assert all(path.is_symlink() and not os.readlink(path).startswith("/") for path in links)


def test_it_can_be_moved(admission):
    admission("mtls", "--clients=1")
    FOLDER.rename("elsewhere")
    admission("mtls", "--clients=2", "--folder=elsewhere")
    Authority(Path("elsewhere/authority")).renew("client-02")


def test_what_was_issued_by_hand_or_left_half_done_is_put_in_its_place(admission):
    admission("mtls", "--clients=1")
    Authority(AUTHORITY).issue("laptop-7")
    admission("mtls")
    assert entries() == ["client-01", "laptop-7"]
    assert os.readlink(AUTHORITY / "laptop-7") == "../clients/laptop-7"


def test_one_folder_is_for_one_mode(admission):
    admission("token", "--clients=1")
    with pytest.raises(InvalidValue, match="ADMISSION=token"):
        admission("mtls", "--clients=1")


def test_what_is_not_ours_is_left_alone(admission):
    FOLDER.mkdir()
    admission("token", "--clients=1")  # an empty one is fine
    shutil.rmtree(FOLDER)
    FOLDER.mkdir()
    (FOLDER / "thesis.tex").touch()
    with pytest.raises(InvalidValue, match="something else"):
        admission("token", "--clients=1")
    assert [path.name for path in FOLDER.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("wrong", ["--clients=0", "--clients=10001", "--leaked=-1"])
def test_the_impossible_is_refused_before_there_is_anything(admission, wrong):
    with pytest.raises(InvalidValue):
        admission("token", wrong)
    assert list(Path().iterdir()) == []


def test_what_leaked_stays_what_it_was(admission):
    admission("token", "--clients=1", "--leaked=2")
    with pytest.raises(InvalidValue, match="LEAKED=1"):
        admission("token", "--clients=1", "--leaked=1")


def test_a_layout_that_fails_leaves_nothing_behind(admission, monkeypatch):
    def fail(self: Ledger, *arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Ledger, "issue", fail)
    with pytest.raises(FedSiegeError, match="No space left"):
        admission("token", "--clients=1")
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(("around", "owner"), [(0, 1000), (4321, 4321)])
def test_roots_files_go_to_who_runs_the_containers(admission, around, owner):
    os.chown(".", around, around)
    printed = admission("mtls", "--clients=2")
    assert (f"OWNER={owner}:{owner} docker" in printed) is (owner != 1000)
    shown = [FOLDER / name for name in ("clients", "attackers", "aggregator", "simulator")]
    shown += [path for folder in shown for path in folder.rglob("*")]
    assert {path.stat().st_uid for path in shown} == {owner}
    assert (AUTHORITY / "ca/key.pem").stat().st_uid == 0
    admission("mtls", "--clients=3")
    assert (FOLDER / "clients/client-03/key.pem").stat().st_uid == owner
    Authority(AUTHORITY).renew("client-03")
    assert (FOLDER / "clients/client-03/key.pem").stat().st_uid == owner
