"""What a certificate authority signs: its own certificate, those of others, and the revoked ones.

Keys are ECDSA on P-256, signatures with SHA-256.
"""

import ipaddress
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedsiege.errors import InvalidValue

#: As x509.DNSName would take it, and the underscores that Docker's service names have.
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*"
)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Signer:
    """A CA's certificate and key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, begins: datetime, expires: datetime) -> "Signer":
        """Make a CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        # No two CAs have one name, so that who shows a certificate of another is told so.
        name = _named(f"FedSiege CA {secrets.token_hex(4)}")
        certificate = (
            _builder(name, name, key, begins, expires)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def read(cls, certificate_pem: bytes, key_pem: bytes) -> "Signer":
        """Read a CA.

        Raises:
            ValueError: they are not a certificate and its key.
        """
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the key is not an elliptic curve's")
        if key.public_key() != certificate.public_key():
            raise ValueError("the key is not the certificate's")
        return cls(certificate, key)

    def certify(
        self,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        serial: int,
        begins: datetime,
        expires: datetime,
        hosts: Iterable[str],
        uri: str,
    ) -> x509.Certificate:
        """Sign a certificate.

        Args:
            key: its owner's.
            name: its owner's, for people; what it may do stands in the URI.
            serial: its number.
            begins: from when it is valid.
            expires: until when.
            hosts: names and addresses that it serves under; with any it is a server's.
            uri: who it is as a caller.
        """
        names = host_names(hosts)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if names:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        names.append(x509.UniformResourceIdentifier(uri))
        issuer = self.certificate.subject
        return (
            _builder(_named(name), issuer, key, begins, expires, serial)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(self._key_identifier(), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def revoke(
        self, revoked: Mapping[int, datetime], now: datetime
    ) -> x509.CertificateRevocationList:
        """Sign the list of certificates that are no longer good.

        Args:
            revoked: since when each serial number is.
            now: the time.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            # It stays good for as long as the CA: no service here makes a new one every week.
            .next_update(self.certificate.not_valid_after_utc)
            .add_extension(x509.CRLNumber(len(revoked) + 1), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )
        for serial, since in revoked.items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256())

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Spell a private key, without a password: services start with nobody there to type one."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def host_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Spell hosts as a certificate does.

    Raises:
        InvalidValue: one is neither a name nor an address.
    """
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError as error:
            if not _HOST.fullmatch(host) or host.rpartition(".")[2].isdigit():
                allowed = "a host's name or address, without a port"
                raise InvalidValue("HOST", host, allowed) from error
            names.append(x509.DNSName(host))
    return names


def _named(name: str) -> x509.Name:
    # 64 letters is what the standard lets a name have; it is only for people.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _usage(*kinds: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{kind: kind in kinds for kind in _USAGES})


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime,
    expires: datetime,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(expires)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
