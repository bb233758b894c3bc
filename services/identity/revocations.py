"""The CA's certificate revocation list (CRL), read again whenever its file changes."""

import logging
import threading
import time
from pathlib import Path

from cryptography import x509

from fedsiege.errors import InvalidValue
from fedsiege.services.identity.bundle import Stamp, read_file, stamp

log = logging.getLogger(__name__)


class Revocations:
    """The serial numbers of revoked certificates: ``serial in revocations``.

    If the file later disappears or becomes invalid, that is logged once and the last valid list is
    kept.

    Args:
        path: the CRL, in PEM form.
        authority: the certificate of the CA, which must have signed the CRL.
        interval: seconds between two checks of the file.

    Raises:
        InvalidValue: the file is not a valid CRL of the CA.
    """

    def __init__(self, path: Path, authority: x509.Certificate, interval: float = 1.0) -> None:
        self._path = path
        self._authority = authority
        self._interval = interval
        self._lock = threading.Lock()
        self._next = time.monotonic() + interval
        self._stamp: Stamp = stamp(path)
        self._serials = read(path, authority)

    def __contains__(self, serial: object) -> bool:
        self._reload()
        return serial in self._serials

    def _reload(self) -> None:
        """Read the file again if it has changed, at most once in an interval."""
        if time.monotonic() < self._next:
            return
        with self._lock:
            self._next = time.monotonic() + self._interval
            found = stamp(self._path)
            if found == self._stamp:
                return
            self._stamp = found
            try:
                self._serials = read(self._path, self._authority)
            except InvalidValue as error:
                log.error("%s; the list read before is kept", error)
            else:
                log.info("%s: %d revoked certificates", self._path, len(self._serials))


def read(path: Path, authority: x509.Certificate) -> frozenset[int]:
    """Return the serial numbers in a CRL.

    Args:
        path: the CRL, in PEM form.
        authority: the certificate of the CA.

    Raises:
        InvalidValue: the file is missing or not a CRL, or the CA did not sign it.
    """
    data = read_file(path)
    try:
        revoked = x509.load_pem_x509_crl(data)
    except ValueError as error:
        raise InvalidValue("CERTS", str(path), "it must hold a CRL in PEM form") from error
    key = authority.public_key()
    # The type has all kinds of keys, of which two cannot sign a CRL; a CA's key is not one of them.
    if revoked.issuer != authority.subject or not revoked.is_signature_valid(key):  # type: ignore[arg-type]
        raise InvalidValue("CERTS", str(path), "the CA in ca.pem did not sign it")
    return frozenset(entry.serial_number for entry in revoked)
