"""A certificate authority in a folder: it issues, renews and revokes the bundles of one federation.

    <folder>/ca/certificate.pem   the CA
            /ca/key.pem           its key: who has it can be anybody
            /ca/issued.csv        every certificate ever issued
            /ca/revoked.pem       the ones that are no longer good, a CRL
            /<name>/              a bundle, as services/identity/bundle.py describes it

An identity is handed over as its folder. Only who can read ca/key.pem can make one.
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
from services.identity.bundle import AUTHORITY, CERTIFICATE, KEY, REVOKED, Clock, utc_now
from services.identity.callers import NAME, Role, identity_uri
from services.identity.signing import Signer, host_names, new_key, to_pem

#: Days that a certificate is valid unless told otherwise, and the CA's.
DAYS, CA_DAYS = 365, 3650
MOST_PARTICIPANTS = 100_000

_CA = "ca"
_ISSUED = "issued.csv"
_COLUMNS = ("serial", "name", "role", "places", "hosts", "begins", "expires")
#: Enough that nobody can guess one, and few enough that a person can copy it.
_SERIAL_BITS = 64
#: Certificates begin a little in the past: clocks differ.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Issued:
    """A certificate that was issued.

    Attributes:
        name: whose it is.
        role: what its owner may do as a caller, PARTICIPANT or CONTROL.
        participants: how many participants it is for; 0 for control and for servers.
        hosts: the names and addresses it serves under; none for who does not serve.
        begins: from when it is valid.
        expires: until when.
        serial: its number.
    """

    name: str
    role: Role
    participants: int
    hosts: tuple[str, ...]
    begins: datetime
    expires: datetime
    serial: int = 0

    def row(self) -> tuple[str, ...]:
        """Spell it for ``issued.csv``."""
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
    def of(cls, row: Mapping[str, str]) -> "Issued":
        """Read a row of ``issued.csv``."""
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

    Args:
        folder: where it and the bundles lie.
        clock: tells the time.

    Raises:
        InvalidValue: there is no CA.
    """

    def __init__(self, folder: Path, clock: Clock = utc_now) -> None:
        self.folder = folder
        self._home = folder / _CA
        self._clock = clock
        if not self._home.is_dir():
            raise InvalidValue("FOLDER", str(folder), "there is no CA; `fedsiege certs init`")
        try:
            self._pem = (self._home / CERTIFICATE).read_bytes()
            self._signer = Signer.read(self._pem, (self._home / KEY).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise FedSiegeError(f"the CA in {self._home} cannot be read: {error}") from error

    @classmethod
    def create(cls, folder: Path, days: float = CA_DAYS, clock: Clock = utc_now) -> "Authority":
        """Make a CA.

        Args:
            folder: where; made if it does not exist.
            days: how long it is valid.
            clock: tells the time.

        Raises:
            InvalidValue: there is one already.
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
                "FOLDER", str(folder), "there is a CA in it already; it stays as it is"
            ) from error
        return cls(folder, clock)

    def issued(self) -> list[Issued]:
        """Return every certificate ever issued, oldest first."""
        path = self._home / _ISSUED
        try:
            with path.open(newline="") as file:
                return [Issued.of(row) for row in csv.DictReader(file)]
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise FedSiegeError(f"{path} cannot be read: {error}") from error

    def revoked(self) -> dict[int, datetime]:
        """Return the serial numbers of revoked certificates, and since when each is."""
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
        """Issue a certificate to a new name; ``issue_all`` says how."""
        return self.issue_all([name], role, participants, days, hosts)[0]

    def issue_all(
        self,
        names: Sequence[str],
        role: Role = Role.PARTICIPANT,
        participants: int = 1,
        days: float = DAYS,
        hosts: Sequence[str] = (),
    ) -> list[Issued]:
        """Issue certificates to new names, to all of them or to none.

        Args:
            names: each 1 to 80 letters, digits, dots, dashes and underscores.
            role: PARTICIPANT or CONTROL.
            participants: how many participants each vouches for, 0 to 100,000; control has none.
            days: how long they are valid.
            hosts: names and addresses to serve under; who has any hosts no participants.

        Raises:
            InvalidValue: a name was issued before, or something is out of its range.
        """
        if role is Role.ANYONE:
            raise InvalidValue("ROLE", str(role), "participant or control")
        participants = participants if role is Role.PARTICIPANT else 0
        if not 0 <= participants <= MOST_PARTICIPANTS:
            raise InvalidValue("PARTICIPANTS", participants, f"0 to {MOST_PARTICIPANTS:,}")
        if hosts and participants:
            raise InvalidValue("PARTICIPANTS", participants, "0 with HOST: workers do not serve")
        host_names(hosts)
        with self._alone():
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
            return [self._make(replace(plan, name=name)) for name in names]

    def renew(self, name: str, days: float = DAYS, hosts: Sequence[str] = ()) -> Issued:
        """Replace a bundle by one with a new key and certificate for the same name.

        The old certificate stays good until it ends or is revoked. A name whose certificates are
        all revoked is admitted again by this.

        Args:
            name: a name that was issued before.
            days: how long the new one is valid.
            hosts: more names and addresses for a server to serve under.

        Raises:
            InvalidValue: the name was never issued, or something is out of its range.
        """
        host_names(hosts)
        with self._alone():
            last = self._of(name)[-1]
            if hosts and not last.hosts:
                raise InvalidValue("HOST", " ".join(hosts), f"none: {name} is no server")
            begins, expires = self._validity(days)
            everywhere = tuple(dict.fromkeys((*last.hosts, *hosts)))
            return self._make(replace(last, hosts=everywhere, begins=begins, expires=expires))

    def revoke(self, name: str, serial: int | None = None) -> list[Issued]:
        """Make a name's certificates invalid, here and in every server's bundle in the folder.

        Args:
            name: whose.
            serial: only this one; None for all that are still good.

        Returns:
            The certificates that were good until now.

        Raises:
            InvalidValue: the name has no such certificate.
        """
        with self._alone():
            issued = self._of(name)
            if serial is not None:
                issued = [one for one in issued if one.serial == serial]
                if not issued:
                    raise InvalidValue("SERIAL", f"{serial:x}", f"one of {name}'s certificates")
            now, revoked = self._clock(), self.revoked()
            good = [one for one in issued if one.serial not in revoked and one.expires > now]
            revoked |= {one.serial: now for one in good}
            content = self._signer.revoke(revoked, now).public_bytes(Encoding.PEM)
            # Also if nothing is new: the last one may have been interrupted half-way.
            for folder in (self._home, *self.servers()):
                atomic.write_file(folder / REVOKED, content, 0o644)
            return good

    def servers(self) -> list[Path]:
        """Return the servers' bundles that lie in the folder."""
        names = dict.fromkeys(one.name for one in self.issued() if one.hosts)
        return [self.folder / name for name in names if (self.folder / name).is_dir()]

    def _of(self, name: str) -> list[Issued]:
        found = [one for one in self.issued() if one.name == name]
        if not found:
            raise InvalidValue("NAME", name, "one that was issued; `fedsiege certs list`")
        return found

    def _check_new(self, names: Sequence[str]) -> None:
        known = {one.name for one in self.issued()}
        for name in names:
            if not re.fullmatch(NAME, name) or name.lower() == _CA:
                allowed = f"1 to 80 of A-Z a-z 0-9 . _ - from a letter or digit on, and not {_CA}"
                raise InvalidValue("NAME", name, allowed)
            if name in known:
                allowed = "it was issued before; `fedsiege certs renew` makes a new certificate"
                raise InvalidValue("NAME", name, allowed)
            if (self.folder / name).exists():
                raise InvalidValue("NAME", name, f"{self.folder / name} is in the way")
            known.add(name)

    def _validity(self, days: float) -> tuple[datetime, datetime]:
        now = self._clock().replace(microsecond=0)
        expires, last = now + _span(days), self._signer.certificate.not_valid_after_utc
        if expires > last:
            raise InvalidValue("DAYS", days, f"the CA itself ends on {last:%F}")
        return now - _SKEW, expires

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process write here meanwhile."""
        opened = os.open(self._home, os.O_RDONLY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)

    def _make(self, plan: Issued) -> Issued:
        """Make key and certificate, note them, and put the bundle in its place."""
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
        # Noted first: a certificate that nobody knows of could not be revoked.
        with (self._home / _ISSUED).open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(one.row())
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
