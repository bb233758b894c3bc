"""Mutual TLS from a bundle, which can be renewed while its process runs."""

import asyncio
import logging
import threading
import time
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import cast

import grpc
from cryptography import x509

from fedsiege.errors import InvalidValue
from fedsiege.services.identity.bundle import (
    CERTIFICATE,
    REVOKED,
    Bundle,
    Clock,
    ends_soon,
    stamps,
    utc_now,
)
from fedsiege.services.identity.callers import Caller, VerifiedCallers, caller_in
from fedsiege.services.identity.revocations import Revocations

log = logging.getLogger(__name__)


class Tls:
    """The TLS credentials of a process, for its server and its channels.

    The bundle is read again when its files change: connections made from then on use the renewed
    certificate. If the files become invalid, that is logged and the bundle read before is kept.

    Args:
        folder: the folder of the bundle.
        clock: returns the current time.
        interval: seconds between two checks of the files.

    Raises:
        InvalidValue: the bundle is not valid.
    """

    def __init__(self, folder: Path, clock: Clock = utc_now, interval: float = 1.0) -> None:
        self.folder = folder
        self._clock = clock
        self._interval = interval
        self._lock = threading.Lock()  # gRPC asks for a server's certificate from its own threads
        self._next = time.monotonic() + interval
        self._stamps = stamps(folder)
        self._bundle = Bundle.read(folder, clock)
        self._version = 0
        self._days_warned: int | None = None
        self._warn()

    @property
    def name(self) -> str:
        """The name in the certificate."""
        return self._caller().name

    @property
    def participants(self) -> int:
        """How many participants the certificate is for."""
        return self._caller().participants

    @property
    def version(self) -> int:
        """The number of renewals so far; a channel uses the bundle of the time it was opened.

        The files are checked at most once in an interval.
        """
        if time.monotonic() >= self._next:
            with self._lock:
                self._next = time.monotonic() + self._interval
                self._reload()
        return self._version

    async def renewed(self, since: int) -> int:
        """Wait until the version differs from ``since``, and return it."""
        while (version := self.version) == since:  # noqa: ASYNC110 - files set no event
            await asyncio.sleep(self._interval)
        return version

    @cached_property
    def callers(self) -> VerifiedCallers:
        """Identifies the callers of a server with this bundle.

        Raises:
            InvalidValue: the bundle has no valid list of revoked certificates.
        """
        revoked = Revocations(self.folder / REVOKED, self._bundle.authority, self._interval)
        return VerifiedCallers(revoked, self._clock)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return the credentials of a channel, which checks the server's host name."""
        bundle = self._bundle
        return grpc.ssl_channel_credentials(
            bundle.authority_pem, bundle.key_pem, bundle.certificate_pem
        )

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return the credentials of a server that refuses callers without a certificate of the CA.

        Raises:
            InvalidValue: the certificate is not for a server.
        """
        if not _is_for_server(self._bundle.certificate):
            allowed = "a certificate with host names, which a server needs"
            raise InvalidValue("CERTS", str(self.folder / CERTIFICATE), allowed)
        served = self.version

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            """Return a renewed certificate, else None; gRPC calls this before every handshake."""
            nonlocal served
            version = self.version
            if version == served:
                return None
            served = version
            return self._configuration()

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            cast("type[grpc.ServerCertificateConfiguration]", fetch),  # None is missing in the type
            require_client_authentication=True,
        )

    def _caller(self) -> Caller:
        caller = caller_in(self._bundle.certificate)
        if caller is None:
            allowed = "a certificate with a role, as `fedsiege certs` issues them"
            raise InvalidValue("CERTS", str(self.folder / CERTIFICATE), allowed)
        return caller

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        bundle = self._bundle
        return grpc.ssl_server_certificate_configuration(
            [(bundle.key_pem, bundle.certificate_pem)], bundle.authority_pem
        )

    def _reload(self) -> None:
        """Read the bundle again if its files have changed; warn if it expires soon."""
        found = stamps(self.folder)
        if found != self._stamps:
            self._stamps = found
            try:
                bundle = Bundle.read(self.folder, self._clock)
                if bundle.authority != self._bundle.authority:
                    # Callers that were accepted under the old CA would stay connected.
                    allowed = "a certificate of the same CA; another CA needs a restart"
                    raise InvalidValue("CERTS", str(self.folder), allowed)
            except InvalidValue as error:
                log.error("%s; the certificate read before is kept", error)
            else:
                self._replace(bundle)
        self._warn()

    def _replace(self, bundle: Bundle) -> None:
        """Use a renewed bundle from now on."""
        if bundle != self._bundle:
            self._bundle = bundle
            self._version += 1
            self._days_warned = None
            ends = bundle.certificate.not_valid_after_utc
            log.info("%s was renewed and is valid until %s", self.folder, f"{ends:%F %H:%MZ}")

    def _warn(self) -> None:
        """Log once a day that the certificate expires soon."""
        certificate = self._bundle.certificate
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        now = self._clock()
        left = ends - now
        if ends_soon(begins, ends, now) and left.days != self._days_warned:
            self._days_warned = left.days
            verb = "expires" if left > timedelta(0) else "expired"
            when = f"{verb} at {ends:%F %H:%MZ}"
            log.warning("the certificate in %s %s; fedsiege certs renew", self.folder, when)


def _is_for_server(certificate: x509.Certificate) -> bool:
    """Return whether a certificate names hosts."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    kinds = (x509.DNSName, x509.IPAddress)
    return any(names.get_values_for_type(kind) for kind in kinds)
