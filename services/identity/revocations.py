"""The CA's list of certificates that are no longer good, read again whenever it changes."""

import logging
import threading
import time
from pathlib import Path

from cryptography import x509

from fedsiege.errors import InvalidValue
from services.identity.bundle import Stamp, read_file, stamp

log = logging.getLogger(__name__)


class Revocations:
    """The serial numbers of revoked certificates: ``serial in revocations``.

    A list that is garbled, gone or not of the CA is logged once and the last good one kept.

    Args:
        path: the list, a CRL in PEM form.
        authority: the CA, which must have signed it.
        interval: seconds between looks at the file.

    Raises:
        InvalidValue: there is no good list to begin with.
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
        self._look()
        return serial in self._serials

    def _look(self) -> None:
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
                log.error("%s; the list read before still holds", error)
            else:
                log.info("%s: %d revoked certificates", self._path, len(self._serials))


def read(path: Path, authority: x509.Certificate) -> frozenset[int]:
    """Read a CRL.

    Raises:
        InvalidValue: it is missing or garbled, or the CA did not sign it.
    """
    data = read_file(path)
    try:
        revoked = x509.load_pem_x509_crl(data)
    except ValueError as error:
        raise InvalidValue("CERTS", str(path), "it must hold a CRL in PEM form") from error
    key = authority.public_key()
    # The CA's key comes from a file; a CRL can be signed with any kind but these two.
    if revoked.issuer != authority.subject or not revoked.is_signature_valid(key):  # type: ignore[arg-type]
        raise InvalidValue("CERTS", str(path), "the CA in ca.pem did not sign it")
    return frozenset(entry.serial_number for entry in revoked)
