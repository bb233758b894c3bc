"""A bundle: the folder with which a process proves who it is, and by which it knows its peers.

``fedsiege certs`` makes bundles, ``--certs`` takes them:

    certificate.pem   who it is, signed by the CA
    key.pem           its private key
    ca.pem            the CA's certificate: peers must show one that it signed
    revoked.pem       servers only: the CA's list of certificates that are no longer good
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
#: Tells one state of a file from another.
Stamp = tuple[int, int, int] | None

#: How often, and after how many seconds, a pair that does not match is read again: a renewal puts
#: one file in place after the other.
_READINGS, _PAUSE = 3, 0.01
_SOON = timedelta(days=14)


def utc_now() -> datetime:
    """Return the time, aware of its zone."""
    return datetime.now(UTC)


def ends_soon(begins: datetime, expires: datetime, now: datetime) -> bool:
    """Say whether a certificate should be renewed: in its last two weeks, or its last third."""
    return expires - now < min(_SOON, (expires - begins) / 3)


def stamp(path: Path) -> Stamp:
    """Return what changes when a file is replaced or rewritten; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def stamps(folder: Path) -> tuple[Stamp, ...]:
    """Return what changes when a bundle is renewed."""
    return tuple(stamp(folder / name) for name in (CERTIFICATE, KEY, AUTHORITY))


@dataclass(frozen=True)
class Bundle:
    """A bundle as it was read: all three parts are of one piece.

    Attributes:
        certificate: who its owner is.
        authority: the CA.
        certificate_pem: the file.
        key_pem: the file.
        authority_pem: the file.
    """

    certificate: x509.Certificate
    authority: x509.Certificate
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    authority_pem: bytes = field(repr=False)

    @classmethod
    def read(cls, folder: Path, clock: Clock = utc_now) -> "Bundle":
        """Read a bundle.

        Raises:
            InvalidValue: a file is missing or garbled, the key is not the certificate's, the CA did
                not sign it, or it is not valid now.
        """
        for reading in range(_READINGS):
            certificate_pem, certificate = _certificate(folder / CERTIFICATE)
            key_pem, public_key = _key(folder / KEY)
            if public_key == certificate.public_key():
                break
            if reading + 1 < _READINGS:
                time.sleep(_PAUSE)
        else:
            raise _wrong(folder / KEY, f"it is not the key of {CERTIFICATE} beside it")
        authority_pem, authority = _certificate(folder / AUTHORITY)
        try:
            certificate.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError) as error:
            allowed = f"{AUTHORITY} beside it is not the CA that signed it"
            raise _wrong(folder / CERTIFICATE, allowed) from error
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begins <= clock() <= ends:
            span = f"it is valid from {begins:%F %H:%MZ} to {ends:%F %H:%MZ}"
            raise _wrong(folder / CERTIFICATE, f"{span}; `fedsiege certs renew` makes a new one")
        return cls(certificate, authority, certificate_pem, key_pem, authority_pem)


def _wrong(path: Path, allowed: str) -> InvalidValue:
    return InvalidValue("CERTS", str(path), allowed)


def read_file(path: Path) -> bytes:
    """Read a file of a bundle.

    Raises:
        InvalidValue: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _wrong(path, f"it cannot be read: {error.strerror}") from error


def _certificate(path: Path) -> tuple[bytes, x509.Certificate]:
    data = read_file(path)
    try:
        # TLS would trust every certificate of the file, and only the first one's list of revoked
        # certificates would be looked at.
        (certificate,) = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise _wrong(path, "it must hold one certificate in PEM form, and no more") from error
    return data, certificate


def _key(path: Path) -> tuple[bytes, object]:
    data = read_file(path)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise _wrong(path, "it must hold a private key in PEM form, without a password") from error
    return data, key.public_key()
