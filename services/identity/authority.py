"""A certificate authority (CA) in a folder: it issues, renews and revokes certificates.

    <folder>/ca/certificate.pem   the CA's certificate
            /ca/key.pem           its private key, which can sign a certificate for any name
            /ca/issued.csv        every certificate ever issued
            /ca/revoked.pem       the revoked ones, as a certificate revocation list (CRL)
            /<name>/              a bundle for each name; services/identity/bundle.py describes it

A bundle is given to its process as a folder. ``ca/key.pem`` must stay on the machine of the CA.
"""

import csv
import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fedsiege import atomic
from fedsiege.atomic import Content
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.services.identity.bundle import AUTHORITY, CERTIFICATE, KEY, REVOKED, Clock, utc_now
from fedsiege.services.identity.callers import NAME, Role, identity_uri
from fedsiege.services.identity.signing import Signer, host_names, new_key, to_pem

#: Default validity in days, of a certificate and of the CA.
DAYS, CA_DAYS = 365, 3650
#: The most participants that one certificate can be for.
MOST_PARTICIPANTS = 100_000

_CA = "ca"
_ISSUED = "issued.csv"
_COLUMNS = ("serial", "name", "role", "places", "hosts", "begins", "expires")
#: Too many to guess a serial number, few enough to copy it by hand.
_SERIAL_BITS = 64
#: Certificates are valid from a little in the past, because clocks differ.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Issued:
    """The record of an issued certificate: a row of ``issued.csv``.

    Attributes:
        name: the name that it proves.
        role: what the owner may call, PARTICIPANT or CONTROL.
        participants: how many participants it is for; 0 for control and for servers.
        hosts: the host names and addresses of a server; empty for other processes.
        begins: start of its validity.
        expires: end of its validity.
        serial: its serial number.
    """

    name: str
    role: Role
    participants: int
    hosts: tuple[str, ...]
    begins: datetime
    expires: datetime
    serial: int = 0

    def to_row(self) -> tuple[str, ...]:
        """Return the cells of its row in ``issued.csv``."""
        return (
            f"{self.serial:x}",
            self.name,
            self.role,
            str(self.participants),
            " ".join(self.hosts),
            self.begins.isoformat(timespec="seconds"),
            self.expires.isoformat(timespec="seconds"),
        )

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "Issued":
        """Read a row of ``issued.csv``, its cells by column."""
        return cls(
            row["name"],
            Role(row["role"]),
            int(row["places"]),
            tuple(row["hosts"].split()),
            datetime.fromisoformat(row["begins"]),
            datetime.fromisoformat(row["expires"]),
            int(row["serial"], 16),
        )


class Authority:
    """The CA of a federation.

    Several processes may use one folder at the same time.

    Args:
        folder: the folder of the CA and the bundles.
        clock: returns the current time.

    Raises:
        InvalidValue: the folder has no CA.
        FedSiegeError: the CA's certificate or key cannot be read.
    """

    def __init__(self, folder: Path, clock: Clock = utc_now) -> None:
        self.folder = folder
        self._home = folder / _CA
        self._clock = clock
        if not self._home.is_dir():
            raise InvalidValue(
                "FOLDER", str(folder), "a folder with a CA, which `fedsiege certs init` makes"
            )
        try:
            self._pem = (self._home / CERTIFICATE).read_bytes()
            self._signer = Signer.read(self._pem, (self._home / KEY).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise FedSiegeError(f"the CA in {self._home} cannot be read: {error}") from error

    @classmethod
    def create(cls, folder: Path, days: float = CA_DAYS, clock: Clock = utc_now) -> "Authority":
        """Make a CA with a new key.

        Args:
            folder: the folder of the CA; made if it does not exist.
            days: validity of the CA in days, above 0 and at most 36,500.
            clock: returns the current time.

        Raises:
            InvalidValue: the folder has a CA already, or ``days`` is out of its range.
        """
        now = clock()
        signer = Signer.new(now - _SKEW, now + _span(days))
        files = {
            CERTIFICATE: Content(signer.certificate.public_bytes(Encoding.PEM)),
            KEY: Content(to_pem(signer.key), 0o600),
            REVOKED: Content(signer.revoke({}, now).public_bytes(Encoding.PEM)),
            _ISSUED: Content(f"{','.join(_COLUMNS)}\n".encode()),
        }
        folder.mkdir(parents=True, exist_ok=True)
        try:
            atomic.create_folder(folder / _CA, files, 0o700)
        except FileExistsError as error:
            raise InvalidValue(
                "FOLDER", str(folder), "it has a CA already, which stays as it is"
            ) from error
        return cls(folder, clock)

    def issued(self) -> list[Issued]:
        """Return every certificate ever issued, oldest first."""
        path = self._home / _ISSUED
        try:
            with path.open(newline="") as file:
                return [Issued.from_row(row) for row in csv.DictReader(file)]
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise FedSiegeError(f"{path} cannot be read: {error}") from error

    def revoked(self) -> dict[int, datetime]:
        """Return the time of revocation of each revoked certificate, by serial number."""
        path = self._home / REVOKED
        try:
            entries = x509.load_pem_x509_crl(path.read_bytes())
        except (OSError, ValueError) as error:
            raise FedSiegeError(f"{path} cannot be read: {error}") from error
        return {entry.serial_number: entry.revocation_date_utc for entry in entries}

    def issue(
        self,
        name: str,
        role: Role = Role.PARTICIPANT,
        participants: int = 1,
        days: float = DAYS,
        hosts: Sequence[str] = (),
    ) -> Issued:
        """Issue a certificate for a new name; see ``issue_all``."""
        return self.issue_all([name], role, participants, days, hosts)[0]

    def issue_all(
        self,
        names: Sequence[str],
        role: Role = Role.PARTICIPANT,
        participants: int = 1,
        days: float = DAYS,
        hosts: Sequence[str] = (),
    ) -> list[Issued]:
        """Issue certificates for new names, and write a bundle for each.

        Args:
            names: names of 1 to 80 letters, digits, dots, dashes and underscores.
            role: what the owners may call, PARTICIPANT or CONTROL.
            participants: how many participants each certificate is for, 0 to 100,000; must be 0
                with ``hosts``, and is taken as 0 for CONTROL.
            days: validity in days, at most that of the CA.
            hosts: host names and addresses of a server.

        Returns:
            The records of the certificates, in the order of the names.

        Raises:
            InvalidValue: a name was issued before, or an argument is out of its range; no
                certificate is issued then.
        """
        if role is Role.ANYONE:
            raise InvalidValue("ROLE", str(role), "participant or control")
        participants = participants if role is Role.PARTICIPANT else 0
        if not 0 <= participants <= MOST_PARTICIPANTS:
            raise InvalidValue("PARTICIPANTS", participants, f"0 to {MOST_PARTICIPANTS:,}")
        if hosts and participants:
            raise InvalidValue("PARTICIPANTS", participants, "0 with HOST: workers do not serve")
        host_names(hosts)
        with self._locked():
            begins, expires = self._validity(days)
            self._check_new(names)
            plan = Issued(
                name="",
                role=role,
                participants=participants,
                hosts=tuple(dict.fromkeys(hosts)),
                begins=begins,
                expires=expires,
            )
            return [self._write(replace(plan, name=name)) for name in names]

    def renew(self, name: str, days: float = DAYS, hosts: Sequence[str] = ()) -> Issued:
        """Replace a bundle by one with a new key and certificate for the same name.

        The old certificate stays valid until it expires or is revoked. A name whose certificates
        are all revoked is valid again after this.

        Args:
            name: a name that was issued before.
            days: validity of the new certificate in days, at most that of the CA.
            hosts: further host names and addresses of a server.

        Returns:
            The record of the new certificate.

        Raises:
            InvalidValue: the name was never issued, or an argument is out of its range.
        """
        host_names(hosts)
        with self._locked():
            last = self._issued_to(name)[-1]
            if hosts and not last.hosts:
                raise InvalidValue("HOST", " ".join(hosts), f"none, because {name} is not a server")
            begins, expires = self._validity(days)
            everywhere = tuple(dict.fromkeys((*last.hosts, *hosts)))
            return self._write(replace(last, hosts=everywhere, begins=begins, expires=expires))

    def revoke(self, name: str, serial: int | None = None) -> list[Issued]:
        """Revoke a name's certificates, in the CA and in every server's bundle in the folder.

        Args:
            name: the name in the certificates.
            serial: the serial number of one certificate; None for all of the name.

        Returns:
            The records of the certificates that were valid until now.

        Raises:
            InvalidValue: the name has no such certificate.
        """
        with self._locked():
            issued = self._issued_to(name)
            if serial is not None:
                issued = [one for one in issued if one.serial == serial]
                if not issued:
                    raise InvalidValue("SERIAL", f"{serial:x}", f"one of {name}'s certificates")
            now, revoked = self._clock(), self.revoked()
            good = [one for one in issued if one.serial not in revoked and one.expires > now]
            revoked |= {one.serial: now for one in good}
            content = self._signer.revoke(revoked, now).public_bytes(Encoding.PEM)
            # Also if there is nothing new: an earlier revocation may have been interrupted.
            for folder in (self._home, *self.servers()):
                atomic.write_file(folder / REVOKED, content, 0o644)
            return good

    def servers(self) -> list[Path]:
        """Return the folders of the servers' bundles that are still in this folder."""
        names = dict.fromkeys(one.name for one in self.issued() if one.hosts)
        return [self.folder / name for name in names if (self.folder / name).is_dir()]

    def _issued_to(self, name: str) -> list[Issued]:
        """Return the records of a name's certificates, oldest first."""
        found = [one for one in self.issued() if one.name == name]
        if not found:
            raise InvalidValue("NAME", name, "an issued name; `fedsiege certs list` shows them")
        return found

    def _check_new(self, names: Sequence[str]) -> None:
        """Check that names are valid, differ and were not issued before."""
        known = {one.name for one in self.issued()}
        for name in names:
            if not re.fullmatch(NAME, name) or name.lower() == _CA:
                allowed = f"1 to 80 of A-Z a-z 0-9 . _ -, first a letter or digit; not {_CA}"
                raise InvalidValue("NAME", name, allowed)
            if name in known:
                allowed = "it was issued before; `fedsiege certs renew` makes a new certificate"
                raise InvalidValue("NAME", name, allowed)
            if (self.folder / name).exists():
                raise InvalidValue(
                    "NAME", name, f"a name without a folder; {self.folder / name} exists"
                )
            known.add(name)

    def _validity(self, days: float) -> tuple[datetime, datetime]:
        """Return the start and end of the validity of a certificate that is issued now."""
        now = self._clock().replace(microsecond=0)
        expires, last = now + _span(days), self._signer.certificate.not_valid_after_utc
        if expires > last:
            raise InvalidValue("DAYS", days, f"the CA itself ends on {last:%F}")
        return now - _SKEW, expires

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the folder: one process changes it at a time."""
        opened = os.open(self._home, os.O_RDONLY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)

    def _write(self, plan: Issued) -> Issued:
        """Make a key and a certificate, record it in ``issued.csv`` and write the bundle."""
        one = replace(plan, serial=secrets.randbits(_SERIAL_BITS) or 1)
        key = new_key()
        uri = identity_uri(one.name, one.role, one.participants)
        certificate = self._signer.certify(
            key, one.name, one.serial, one.begins, one.expires, one.hosts, uri
        )
        files = {
            KEY: Content(to_pem(key), 0o600),
            CERTIFICATE: Content(certificate.public_bytes(Encoding.PEM)),
            AUTHORITY: Content(self._pem),
        }
        if one.hosts:
            files[REVOKED] = Content((self._home / REVOKED).read_bytes())
        # Recorded before it is written: a certificate without a record could not be revoked.
        with (self._home / _ISSUED).open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(one.to_row())
            file.flush()
            os.fsync(file.fileno())
        folder = self.folder / one.name
        if folder.is_dir():
            for name, content in files.items():
                atomic.write_file(folder / name, content.data, content.mode)
        else:
            atomic.create_folder(folder, files, 0o755)
        return one


def _span(days: float) -> timedelta:
    if not 0 < days <= 36_500:
        raise InvalidValue("DAYS", days, "more than 0, at most 36,500")
    return timedelta(days=days)
