"""Callers are identified by the certificate that the TLS handshake has verified."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fedsiege.services.errors import Unauthenticated
from fedsiege.services.identity import callers
from fedsiege.services.identity.bundle import utc_now
from fedsiege.services.identity.callers import Caller, Role, VerifiedCallers, identity_uri
from fedsiege.services.identity.signing import Signer, new_key
from tests.cases import each


class Context:
    """A context of a call, with the certificate that the peer has shown."""

    def __init__(self, certificate: x509.Certificate | None) -> None:
        self.shown = {"transport_security_type": [b"ssl"]}
        if certificate is not None:
            self.shown["x509_pem_cert"] = [certificate.public_bytes(Encoding.PEM)]

    def auth_context(self) -> dict[str, list[bytes]]:
        return self.shown


def certificate_with(*uris: str) -> x509.Certificate:
    """A certificate of the CA that `fedsiege certs` would not make."""
    now = datetime.now(UTC)
    signer = Signer.new(now, now + timedelta(days=1))
    key = new_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a-name")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(one) for one in uris])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer.key, signer.certificate.signature_hash_algorithm)


@each(
    "uris",
    [
        (),
        ("fedsiege://root/a-name",),
        ("fedsiege://anyone/a-name",),
        ("fedsiege://participant/a-name",),
        ("fedsiege://control/a-name?places=3",),
        ("fedsiege://participant/a/b?places=3",),
        ("fedsiege://participant/a-name?places=-3",),
        ("fedsiege://participant/a-name?places=03",),
        ("fedsiege://participant/a-name?places=1000000",),
        ("fedsiege://participant/a-name?places=3&places=4",),
        ("fedsiege://participant/?places=3",),
        ("https://control/a-name",),
        ("fedsiege://control/a-name", "fedsiege://participant/a-name?places=3"),
        ("fedsiege://control/a-name", "spiffe://elsewhere/a-name"),
    ],
)
def test_a_certificate_without_exactly_one_name_and_role_is_refused(uris):
    with pytest.raises(Unauthenticated) as caught:
        VerifiedCallers(frozenset()).identify(Context(certificate_with(*uris)))
    assert caught.value.reason == "UNKNOWN_ROLE"


@pytest.mark.parametrize(
    "caller",
    [
        Caller("client-1", Role.PARTICIPANT, verified=True, participants=40),
        Caller("simulator", Role.CONTROL, verified=True),
    ],
)
def test_a_caller_is_read_from_the_uri_written_for_it(caller):
    uri = identity_uri(caller.name, caller.role, caller.participants)
    # Certificates that were issued before must stay valid, so the URI must not change.
    assert uri in ("fedsiege://participant/client-1?places=40", "fedsiege://control/simulator")
    assert VerifiedCallers(frozenset()).identify(Context(certificate_with(uri))) == caller


def test_a_call_without_a_certificate_is_refused():
    verified = VerifiedCallers(frozenset())
    for ask in (
        lambda: verified.identify(Context(None)),
        lambda: verified.recheck(Caller("10.0.0.7")),
    ):
        with pytest.raises(Unauthenticated) as caught:
            ask()
        assert caught.value.reason == "NO_CERTIFICATE"


def test_the_certificate_of_a_running_call_is_checked_again():
    revoked: set[int] = set()
    later = timedelta()
    verified = VerifiedCallers(revoked, lambda: utc_now() + later)
    context = Context(certificate_with("fedsiege://control/a-name"))
    caller = verified.identify(context)
    assert verified.identify(context) is caller, "a certificate is read once"
    verified.recheck(caller)
    later = timedelta(days=1)
    with pytest.raises(Unauthenticated, match="expired at") as caught:
        verified.recheck(caller)
    assert caught.value.reason == "CERTIFICATE_EXPIRED"
    revoked.add(7)
    with pytest.raises(Unauthenticated) as caught:
        verified.recheck(caller)
    assert caught.value.reason == "CERTIFICATE_REVOKED"


def test_the_cache_of_callers_has_a_limit(monkeypatch):
    monkeypatch.setattr(callers, "_REMEMBERED", 3)
    verified = VerifiedCallers(frozenset())
    for number in range(7):
        verified.identify(Context(certificate_with(f"fedsiege://control/c{number}")))
        assert len(verified._known) <= 3
