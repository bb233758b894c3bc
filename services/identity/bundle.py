"""A bundle: the folder with the certificate of a process and all that it needs to use it.

``fedsiege certs`` makes bundles; the option ``--certs`` of a service takes one:

    certificate.pem   the certificate, which names the process and is signed by the CA
    key.pem           its private key
    ca.pem            the CA's certificate, against which the certificates of peers are checked
    revoked.pem       servers only: the CA's list of revoked certificates
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from fedsiege.errors import InvalidValue

CERTIFICATE = "certificate.pem"
KEY = "key.pem"
AUTHORITY = "ca.pem"
REVOKED = "revoked.pem"

Clock = Callable[[], datetime]
#: Inode, size and time of change of a file; None if there is none. It differs after each change.
Stamp = tuple[int, int, int] | None

#: How often certificate and key are read, and after how many seconds again, if they do not match:
#: a renewal replaces one file after the other.
_READINGS, _PAUSE = 3, 0.01
_SOON = timedelta(days=14)


def utc_now() -> datetime:
    """Return the current time in UTC, with its time zone."""
    return datetime.now(UTC)


def ends_soon(begins: datetime, expires: datetime, now: datetime) -> bool:
    """Return whether a certificate is in its last two weeks, or last third if that is shorter."""
    return expires - now < min(_SOON, (expires - begins) / 3)


def stamp(path: Path) -> Stamp:
    """Return the stamp of a file, which changes when it is replaced or rewritten."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def stamps(folder: Path) -> tuple[Stamp, ...]:
    """Return the stamps of a bundle's files, which change when it is renewed."""
    return tuple(stamp(folder / name) for name in (CERTIFICATE, KEY, AUTHORITY))


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and checked.

    Attributes:
        certificate: the certificate of the process.
        authority: the certificate of the CA that signed it.
        certificate_pem: the content of ``certificate.pem``.
        key_pem: the content of ``key.pem``.
        authority_pem: the content of ``ca.pem``.
    """

    certificate: x509.Certificate
    authority: x509.Certificate
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    authority_pem: bytes = field(repr=False)

    @classmethod
    def read(cls, folder: Path, clock: Clock = utc_now) -> "Bundle":
        """Read and check the bundle in a folder.

        Args:
            folder: the folder of the bundle.
            clock: returns the current time.

        Raises:
            InvalidValue: a file is missing or cannot be parsed, the key does not belong to the
                certificate, the CA did not sign the certificate, or it is not valid now.
        """
        for reading in range(_READINGS):
            certificate_pem, certificate = _certificate(folder / CERTIFICATE)
            key_pem, public_key = _key(folder / KEY)
            if public_key == certificate.public_key():
                break
            if reading + 1 < _READINGS:
                time.sleep(_PAUSE)
        else:
            raise _invalid(folder / KEY, f"it is not the key of {CERTIFICATE} beside it")
        authority_pem, authority = _certificate(folder / AUTHORITY)
        try:
            certificate.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError) as error:
            allowed = f"{AUTHORITY} beside it is not the CA that signed it"
            raise _invalid(folder / CERTIFICATE, allowed) from error
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begins <= clock() <= ends:
            span = f"it is valid from {begins:%F %H:%MZ} to {ends:%F %H:%MZ}"
            raise _invalid(folder / CERTIFICATE, f"{span}; `fedsiege certs renew` makes a new one")
        return cls(certificate, authority, certificate_pem, key_pem, authority_pem)


def _invalid(path: Path, allowed: str) -> InvalidValue:
    return InvalidValue("CERTS", str(path), allowed)


def read_file(path: Path) -> bytes:
    """Return the content of a file of a bundle.

    Raises:
        InvalidValue: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _invalid(path, f"it cannot be read: {error.strerror}") from error


def _certificate(path: Path) -> tuple[bytes, x509.Certificate]:
    data = read_file(path)
    try:
        # TLS would trust every certificate in the file, but the list of revoked certificates is
        # checked for the first CA only.
        (certificate,) = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise _invalid(path, "it must hold exactly one certificate in PEM form") from error
    return data, certificate


def _key(path: Path) -> tuple[bytes, object]:
    data = read_file(path)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise _invalid(path, "it must hold a private key in PEM form, unencrypted") from error
    return data, key.public_key()
