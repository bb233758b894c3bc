"""TLS with certificates on both sides, from one bundle, renewed without a restart."""

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
from services.identity.bundle import CERTIFICATE, REVOKED, Bundle, Clock, ends_soon, stamps, utc_now
from services.identity.callers import Caller, VerifiedCallers, caller_in
from services.identity.revocations import Revocations

log = logging.getLogger(__name__)


class Tls:
    """What a process speaks TLS with, as a server, as a client or as both.

    The bundle is looked at again while it is used: a renewed certificate serves the connections
    made from then on. A bundle that has become unusable is logged and the one before kept.

    Args:
        folder: the bundle.
        clock: tells the time.
        interval: seconds between looks at the files.

    Raises:
        InvalidValue: the bundle cannot be used.
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
        self._days_told: int | None = None
        self._warn()

    @property
    def name(self) -> str:
        """The name that the certificate proves."""
        return self._caller().name

    @property
    def participants(self) -> int:
        """How many participants the certificate vouches for."""
        return self._caller().participants

    @property
    def version(self) -> int:
        """Grows by one whenever the bundle was renewed; channels opened before are of the old one.

        Cheap: it looks at the files at most once in an interval.
        """
        if time.monotonic() >= self._next:
            with self._lock:
                self._next = time.monotonic() + self._interval
                self._look()
        return self._version

    async def renewed(self, since: int) -> int:
        """Wait until the bundle is newer than a version; return the version it has then."""
        while (version := self.version) == since:  # noqa: ASYNC110 - files wake nobody
            await asyncio.sleep(self._interval)
        return version

    @cached_property
    def callers(self) -> VerifiedCallers:
        """Who calls a server that has this bundle.

        Raises:
            InvalidValue: it has no good list of revoked certificates.
        """
        revoked = Revocations(self.folder / REVOKED, self._bundle.authority, self._interval)
        return VerifiedCallers(revoked, self._clock)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return what a channel is opened with: its peer must be the host it says it is."""
        bundle = self._bundle
        return grpc.ssl_channel_credentials(
            bundle.authority_pem, bundle.key_pem, bundle.certificate_pem
        )

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return what a server listens with: it takes only callers with a certificate of the CA.

        Raises:
            InvalidValue: the certificate is not a server's.
        """
        if not _hosts(self._bundle.certificate):
            allowed = "a server's names the hosts it serves on"
            raise InvalidValue("CERTS", str(self.folder / CERTIFICATE), allowed)
        served = self.version

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            """Say whether there is a newer certificate; gRPC asks before every handshake."""
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
            allowed = "a certificate of `fedsiege certs`, which says what its owner may do"
            raise InvalidValue("CERTS", str(self.folder / CERTIFICATE), allowed)
        return caller

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        bundle = self._bundle
        return grpc.ssl_server_certificate_configuration(
            [(bundle.key_pem, bundle.certificate_pem)], bundle.authority_pem
        )

    def _look(self) -> None:
        """Read the bundle again if its files have changed."""
        found = stamps(self.folder)
        if found != self._stamps:
            self._stamps = found
            try:
                bundle = Bundle.read(self.folder, self._clock)
                if bundle.authority != self._bundle.authority:
                    # Callers let in under the old CA would stay in.
                    allowed = "the CA is another one, which takes a restart"
                    raise InvalidValue("CERTS", str(self.folder), allowed)
            except InvalidValue as error:
                log.error("%s; the certificate read before is kept", error)
            else:
                self._take(bundle)
        self._warn()

    def _take(self, bundle: Bundle) -> None:
        if bundle != self._bundle:
            self._bundle = bundle
            self._version += 1
            self._days_told = None
            ends = bundle.certificate.not_valid_after_utc
            log.info("%s was renewed and is good until %s", self.folder, f"{ends:%F %H:%MZ}")

    def _warn(self) -> None:
        """Say that the certificate ends soon, once a day."""
        certificate = self._bundle.certificate
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        now = self._clock()
        left = ends - now
        if ends_soon(begins, ends, now) and left.days != self._days_told:
            self._days_told = left.days
            verb = "ends" if left > timedelta(0) else "ended"
            when = f"{verb} at {ends:%F %H:%MZ}"
            log.warning("the certificate in %s %s: fedsiege certs renew", self.folder, when)


def _hosts(certificate: x509.Certificate) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    kinds = (x509.DNSName, x509.IPAddress)
    return any(names.get_values_for_type(kind) for kind in kinds)
