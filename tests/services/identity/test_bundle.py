"""Bundles in use: the name in them, when they are read again, the warning before they expire."""

from datetime import UTC, datetime, timedelta

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.bundle import utc_now
from fedsiege.services.identity.callers import Caller, Proof
from fedsiege.services.identity.tls import Tls


@pytest.fixture
def authority(tmp_path) -> Authority:
    made = Authority.create(tmp_path / "certs")
    made.issue("aggregator", participants=0, hosts=["localhost"])
    made.issue("client-1", participants=3)
    return made


def tls_of(authority: Authority, name: str = "client-1") -> Tls:
    return Tls(authority.folder / name, interval=0)


def test_two_cas_in_one_file_are_refused(authority, tmp_path):
    Authority.create(tmp_path / "other")
    path = authority.folder / "aggregator" / "ca.pem"
    path.write_bytes(path.read_bytes() + (tmp_path / "other/ca/certificate.pem").read_bytes())
    with pytest.raises(InvalidValue, match="one certificate"):
        tls_of(authority, "aggregator")


def test_the_files_are_not_checked_within_the_interval(authority):
    tls = Tls(authority.folder / "aggregator", interval=3600)
    verified = tls.callers
    caller = Caller(
        "client-1", proof=Proof(authority.issued()[1].serial, datetime.max.replace(tzinfo=UTC))
    )
    authority.renew("aggregator")
    authority.revoke("client-1")
    assert tls.version == 0
    verified.recheck(caller)


def test_a_bundle_has_a_name_and_a_number_of_participants(authority):
    tls = tls_of(authority)
    assert (tls.name, tls.participants) == ("client-1", 3)
    assert "PRIVATE" not in repr(tls._bundle)


@pytest.mark.parametrize(
    ("days", "later", "warned"),
    [
        (365, timedelta(days=350), False),
        (365, timedelta(days=352), True),
        (3, timedelta(days=1), False),
        (3, timedelta(days=2, hours=1), True),
    ],
)
def test_a_certificate_that_expires_soon_is_logged_once_a_day(
    authority, caplog, days, later, warned
):
    authority.issue("soon", days=days)
    passed = timedelta()
    tls = Tls(authority.folder / "soon", lambda: utc_now() + passed, interval=0)
    assert "renew" not in caplog.text
    passed = later
    for _ in range(3):
        assert tls.version == 0
    assert caplog.text.count("certs renew") == warned
    passed = timedelta(days=days + 1)
    for _ in range(3):
        assert tls.version == 0
    assert caplog.text.count("expired at") == 1
    passed = timedelta()
    authority.renew("soon")
    assert tls.version == 1
    assert caplog.text.count("certs renew") == warned + 1
