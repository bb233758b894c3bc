"""The signatures of a CA: its own certificate, those of others and the list of revoked ones.

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

#: A host name as in x509.DNSName, also with underscores, which Docker's service names can have.
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
    """The certificate and private key of a CA, which sign other certificates.

    Attributes:
        certificate: the CA's certificate.
        key: its private key.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, begins: datetime, expires: datetime) -> "Signer":
        """Make a CA with a new key and a certificate that it signs itself.

        Args:
            begins: start of the validity.
            expires: end of the validity.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        # Each CA has a name of its own, so that errors tell one CA's certificates from another's.
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
        """Parse the certificate and key of a CA.

        Raises:
            ValueError: they cannot be parsed, or the key does not belong to the certificate.
        """
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the key is not an elliptic curve key")
        if key.public_key() != certificate.public_key():
            raise ValueError("the key does not belong to the certificate")
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
        """Return a signed certificate.

        Args:
            key: the key of the owner; the certificate has its public half.
            name: the owner's name, to be shown; servers read the URI instead.
            serial: the serial number.
            begins: start of the validity.
            expires: end of the validity.
            hosts: host names and addresses of a server; empty for a client certificate.
            uri: the owner's name and role, as ``callers.identity_uri`` returns it.

        Raises:
            InvalidValue: a host is neither a name nor an address.
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
        """Return a signed certificate revocation list (CRL).

        Args:
            revoked: the time of revocation, by serial number.
            now: the current time.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            # Valid as long as the CA itself: no service here renews the list regularly.
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
    """Return a new private key, ECDSA on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM form, without a password, so that services start unattended."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def host_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Return hosts as the alternative names of a certificate.

    Raises:
        InvalidValue: a host is neither a name nor an address.
    """
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError as error:
            if not _HOST.fullmatch(host) or host.rpartition(".")[2].isdigit():
                allowed = "a host name or address, without a port"
                raise InvalidValue("HOST", host, allowed) from error
            names.append(x509.DNSName(host))
    return names


def _named(name: str) -> x509.Name:
    # The standard allows 64 characters; the name is only shown, never compared.
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
