"""The CA: the content of its certificates, what it refuses, and that its writes are atomic."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedsiege import atomic
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.bundle import Bundle
from fedsiege.services.identity.callers import Role, caller_in
from fedsiege.services.identity.revocations import read

NOW = datetime(2031, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority.create(tmp_path / "certs", clock=lambda: NOW)


def bundle(authority: Authority, name: str) -> Bundle:
    return Bundle.read(authority.folder / name, lambda: NOW)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_participants_certificate_has_its_name_and_no_other_use(authority):
    issued = authority.issue("client-07", participants=12, days=30)
    certificate = bundle(authority, "client-07").certificate
    caller = caller_in(certificate)
    assert (caller.name, caller.role, caller.participants) == ("client-07", Role.PARTICIPANT, 12)
    assert caller.verified
    assert caller.proof.serial == issued.serial == certificate.serial_number
    assert caller.proof.expires == issued.expires == NOW + timedelta(days=30)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH], "it must not be usable as a server's"
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert not basic.value.ca, "it must not sign others"
    assert sorted(path.name for path in (authority.folder / "client-07").iterdir()) == [
        "ca.pem",
        "certificate.pem",
        "key.pem",
    ]


def test_a_servers_certificate_names_its_hosts(authority):
    authority.issue(
        "simulator", Role.CONTROL, hosts=("simulator", "a_b.example", "10.0.0.7", "::1")
    )
    certificate = bundle(authority, "simulator").certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["simulator", "a_b.example"]
    addresses = names.get_values_for_type(x509.IPAddress)
    assert addresses == [ip_address("10.0.0.7"), ip_address("::1")]
    assert caller_in(certificate).role is Role.CONTROL
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert (authority.folder / "simulator" / "revoked.pem").exists()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_the_owner_can_read_a_key(tmp_path, umask):
    before = os.umask(umask)
    try:
        authority = Authority.create(tmp_path / "certs")
        authority.issue("client-1")
        authority.renew("client-1")
    finally:
        os.umask(before)
    for path in authority.folder.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.name in ("key.pem", "ca"):
            assert mode & 0o077 == 0, path
        assert mode & 0o022 == 0, path


def test_renewal_keeps_the_permissions_of_the_key(authority):
    authority.issue("client-1")
    key = authority.folder / "client-1" / "key.pem"
    key.chmod(0o640)
    before = key.read_bytes()
    authority.renew("client-1")
    assert key.read_bytes() != before
    assert stat.S_IMODE(key.stat().st_mode) == 0o640


BAD_NAMES = ["", "..", "../up", "a/b", "-rf", ".hidden", "a b", "é", "x" * 81, "ca", "CA", "a\n"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_be_a_path_is_refused(authority, name):
    before = everything(authority.folder.parent)
    with pytest.raises(InvalidValue, match="NAME="):
        authority.issue(name)
    assert everything(authority.folder.parent) == before


@pytest.mark.parametrize("name", ["a", "x" * 80, "A.b-c_9"])
def test_a_plain_name_is_accepted(authority, name):
    authority.issue(name)
    assert caller_in(bundle(authority, name).certificate).name == name


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"participants": -1}, "PARTICIPANTS=-1"),
        ({"participants": 100_001}, "PARTICIPANTS=100001"),
        ({"days": 0}, "DAYS=0"),
        ({"days": float("nan")}, "DAYS=nan"),
        ({"days": 4000}, "the CA itself ends on 2041-05-01"),
        ({"hosts": ["here"]}, "PARTICIPANTS=1"),
        ({"hosts": ["http://here"], "participants": 0}, "HOST='http://here'"),
        ({"hosts": ["10.0.0.256"], "participants": 0}, "HOST='10.0.0.256'"),
        ({"hosts": ["-x"], "participants": 0}, "HOST='-x'"),
        ({"role": Role.ANYONE}, "ROLE='anyone'"),
    ],
    ids=str,
)
def test_invalid_arguments_are_refused_before_anything_is_written(authority, wrong, words):
    before = everything(authority.folder)
    with pytest.raises(InvalidValue) as caught:
        authority.issue("client-1", **wrong)
    assert words in str(caught.value)
    assert everything(authority.folder) == before


def test_nothing_is_overwritten(authority):
    authority.issue("client-2")
    (authority.folder / "client-3").mkdir()
    before = everything(authority.folder)
    with pytest.raises(InvalidValue, match="already"):
        Authority.create(authority.folder)
    for name in ("client-2", "client-3"):
        with pytest.raises(InvalidValue, match=f"NAME='{name}'"):
            authority.issue_all(["client-1", name])
    with pytest.raises(InvalidValue, match="NAME='client-9'"):
        authority.issue_all(["client-9", "client-9"])
    assert everything(authority.folder) == before


def test_a_name_is_not_free_again_when_its_folder_has_moved(authority):
    first = authority.issue("client-1", participants=3)
    (authority.folder / "client-1").rename(authority.folder.parent / "handed-over")
    with pytest.raises(InvalidValue, match="issued before"):
        authority.issue("client-1")
    second = authority.renew("client-1")
    assert (second.participants, second.role) == (first.participants, first.role)
    assert bundle(authority, "client-1").certificate.serial_number == second.serial


def test_renewal_keeps_the_name_and_changes_the_key(authority):
    authority.issue("aggregator", participants=0, hosts=["aggregator"], days=5)
    old = bundle(authority, "aggregator")
    authority.renew("aggregator", days=50, hosts=["elsewhere", "aggregator"])
    new = bundle(authority, "aggregator")
    assert new.certificate.public_key() != old.certificate.public_key()
    assert caller_in(new.certificate) == caller_in(old.certificate)
    assert new.certificate.not_valid_after_utc == NOW + timedelta(days=50)
    names = new.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["aggregator", "elsewhere"]


def test_only_a_server_has_hosts(authority):
    authority.issue("client-1")
    with pytest.raises(InvalidValue, match="HOST='here'"):
        authority.renew("client-1", hosts=["here"])


def test_revocation_reaches_every_server_and_only_valid_certificates(authority):
    for name in ("aggregator", "simulator"):
        authority.issue(name, participants=0, hosts=[name])
    authority.issue("client-1")
    other = authority.issue("client-2")
    new = authority.renew("client-1")
    assert [one.serial for one in authority.revoke("client-1", new.serial)] == [new.serial]
    newest = authority.renew("client-1")
    gone = authority.revoke("client-1")
    assert newest.serial in [one.serial for one in gone]
    assert len(gone) == 2, "the one revoked before does not count again"
    assert authority.revoke("client-1") == []
    later = authority.issue("gateway", participants=0, hosts=["gateway"])
    certificate = x509.load_pem_x509_certificate(
        (authority.folder / "ca" / "certificate.pem").read_bytes()
    )
    for name in ("ca", "aggregator", "simulator", "gateway"):
        revoked = read(authority.folder / name / "revoked.pem", certificate)
        assert revoked == {new.serial, *(one.serial for one in gone)}, name
    assert set(authority.revoked()) == revoked
    assert not revoked & {other.serial, later.serial}
    assert not (authority.folder / "client-2" / "revoked.pem").exists()


def test_what_was_never_issued_cannot_be_renewed_or_revoked(authority):
    authority.issue("client-1")
    for act in (authority.renew, authority.revoke):
        with pytest.raises(InvalidValue, match="NAME='client-2'"):
            act("client-2")
    with pytest.raises(InvalidValue, match="SERIAL='7b'"):
        authority.revoke("client-1", 123)


def test_every_issued_certificate_is_recorded(authority):
    made = [
        authority.issue("simulator", Role.CONTROL, hosts=["simulator", "::1"]),
        *authority.issue_all(["a", "b"], participants=2),
        authority.renew("a"),
    ]
    header = (authority.folder / "ca" / "issued.csv").read_text().partition("\n")[0]
    assert header == "serial,name,role,places,hosts,begins,expires", (
        "older files must stay readable"
    )
    assert authority.issued() == made
    assert Authority(authority.folder).issued() == made


def test_concurrent_changes_are_all_kept(authority):
    def issue_and_revoke(number: int) -> None:
        mine = Authority(authority.folder, lambda: NOW)
        mine.issue(f"client-{number}")
        mine.revoke(f"client-{number}")

    authority.issue("aggregator", participants=0, hosts=["aggregator"])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(issue_and_revoke, range(24)))
    assert len(authority.issued()) == 25
    assert len(authority.revoked()) == 24


def test_a_reader_never_sees_half_a_renewal(authority, monkeypatch):
    """The bundle is read after each of its files is written."""
    authority.issue("client-1")
    folder = authority.folder / "client-1"
    old = bundle(authority, "client-1")
    put, seen = atomic.write_file, {}

    def put_and_read(path: Path, data: bytes, mode: int) -> None:
        put(path, data, mode)
        if path.parent == folder:
            try:
                seen[path.name] = Bundle.read(folder, lambda: NOW)
            except InvalidValue as error:
                seen[path.name] = str(error)

    monkeypatch.setattr(atomic, "write_file", put_and_read)
    authority.renew("client-1")
    new = bundle(authority, "client-1")
    assert new.certificate != old.certificate
    assert "not the key of certificate.pem" in seen.pop("key.pem")
    assert seen == {"certificate.pem": new, "ca.pem": new}


def test_a_reader_waits_for_the_rest_of_a_renewal(authority, monkeypatch):
    authority.issue("client-1")
    folder = authority.folder / "client-1"
    before = (folder / "certificate.pem").read_bytes()
    authority.renew("client-1")
    new = bundle(authority, "client-1")
    (folder / "certificate.pem").write_bytes(before)
    finish = (folder / "certificate.pem").write_bytes
    monkeypatch.setattr("time.sleep", lambda _: finish(new.certificate_pem))
    assert bundle(authority, "client-1") == new


def test_a_failed_write_changes_nothing(authority, monkeypatch):
    authority.issue("client-1")
    before = everything(authority.folder / "client-1")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        authority.renew("client-1")
    with pytest.raises(OSError, match="no space"):
        authority.issue("client-2")
    assert everything(authority.folder / "client-1") == before
    assert sorted(path.name for path in authority.folder.iterdir()) == ["ca", "client-1"]


@pytest.mark.parametrize("file", ["certificate.pem", "key.pem"])
@pytest.mark.parametrize("damage", ["missing", "garbled", "another's"])
def test_a_damaged_ca_is_refused(authority, tmp_path, file, damage):
    path = authority.folder / "ca" / file
    if damage == "missing":
        path.unlink()
    elif damage == "garbled":
        path.write_text("garbage")
    else:
        other = Authority.create(tmp_path / "other")
        path.write_bytes((other.folder / "ca" / file).read_bytes())
    with pytest.raises(FedSiegeError, match=r"certs/ca cannot be read"):
        Authority(authority.folder)


def test_the_error_for_a_folder_without_a_ca_says_how_to_make_one(tmp_path):
    with pytest.raises(InvalidValue, match="fedsiege certs init"):
        Authority(tmp_path)


def test_a_damaged_record_is_named(authority):
    path = authority.folder / "ca" / "issued.csv"
    path.write_text(path.read_text() + "not,a,row\n")
    with pytest.raises(FedSiegeError, match=r"issued\.csv cannot be read"):
        authority.issue("client-1")
