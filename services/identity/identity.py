"""A worker's place in the federation: its name, and what proves that the name is its own.

Where many replicas are started from one description, none can be told its name. They share a
read-only folder of entries instead, and each takes one that nobody else holds:

    NAME.tokens   a file of enrolment tokens, one a line
    NAME/         a bundle with a certificate

An entry is held by a file lock, which ends with its holder however that ends. So the replica that
replaces another one takes the entry, and with it the name and the participants, of its predecessor.
Locks do not reach over machines: each needs a folder of its own, or a file system that shares them.
"""

import fcntl
import hashlib
import logging
import os
import random
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedsiege.errors import InvalidValue
from services.retry import attempts

if TYPE_CHECKING:  # workers without certificates start faster without it
    from services.identity.tls import Tls

log = logging.getLogger(__name__)

SUFFIX = ".tokens"
#: Seconds between two looks for a free entry: the first ones, and later ones.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


@dataclass(frozen=True)
class Identity:
    """Who a worker is.

    Attributes:
        name: the worker's.
        secret: what its participants' credentials are derived from; None for one made up. It comes
            from the key or the tokens, so that whoever has them has the participants; without them
            from FEDSIEGE_SECRET.
        tokens: the enrolment token of each slot.
        tls: its certificate.
        lock: the file descriptor that holds the entry; -1 where it was not taken from a folder.
    """

    name: str
    secret: bytes | None = field(default=None, repr=False)
    tokens: tuple[str, ...] = field(default=(), repr=False)
    tls: "Tls | None" = None
    lock: int = -1

    def check(self, participants: int, *, may_lack: bool) -> None:
        """See whether there is proof for so many participants.

        Args:
            participants: how many the worker hosts.
            may_lack: whether it is enough to say so.

        Raises:
            InvalidValue: there is not.
        """
        proofs = {"tokens": len(self.tokens)} if self.tokens else {}
        if self.tls is not None:
            proofs["places in the certificate"] = self.tls.places
        for what, count in proofs.items():
            if count < participants:
                if not may_lack:
                    allowed = f"up to {count}, as there are {what}"
                    raise InvalidValue("PARTICIPANTS", participants, allowed)
                log.warning("only %d of %d participants have %s", count, participants, what)


def settle(name: str | None, tokens: Path | None, certs: Path | None, default: str) -> Identity:
    """Return the place of a worker that is told who it is.

    Args:
        name: as told; None for the certificate's name or the default.
        tokens: a file of enrolment tokens.
        certs: a bundle.
        default: the name where nothing else says it.

    Raises:
        InvalidValue: a file is not what it should be, or the certificate names somebody else.
    """
    secret = os.environ.get("FEDSIEGE_SECRET", "").encode() or None
    lines = read_tokens(tokens) if tokens is not None else ()
    if lines:
        secret = _derive(lines[0].encode())
    if certs is None:
        return Identity(name or default, secret, lines)

    from services.identity.bundle import KEY, read_file
    from services.identity.tls import Tls

    tls = Tls(certs)
    if not tls.name or name not in (None, tls.name):
        whom = f"it names {tls.name!r}" if tls.name else "it names no participant"
        raise InvalidValue("NAME", name or default, f"the certificate decides, and {whom}")
    return Identity(tls.name, _derive(read_file(certs / KEY)), lines, tls)


async def take(folder: Path) -> Identity:
    """Take the first free entry of a folder, and hold it for the life of this process.

    Each process looks in an order of its own, so that a hundred that start together do not all ask
    for the same one. Where none is free it waits: one may be given up, or added.

    Raises:
        InvalidValue: the folder cannot be read.
    """
    async for attempt in attempts(_FIRST_PAUSE, _LONGEST_PAUSE):
        names = _entries(folder)
        order = random.Random(f"{socket.gethostname()} {os.getpid()}")  # noqa: S311 - no secret
        order.shuffle(names)
        for name in names:
            place = _try(folder, name, logging.DEBUG if attempt else logging.WARNING)
            if place is not None:
                log.info("place %s", name)
                return place
        if attempt == 0:
            log.info("none of the %d places in %s is free; waiting for one", len(names), folder)
    raise AssertionError("attempts never end")


def read_tokens(path: Path) -> tuple[str, ...]:
    """Read a file of tokens, one a line.

    Raises:
        InvalidValue: it cannot be read, or there are none in it.
    """
    try:
        tokens = tuple(path.read_text().split())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue("TOKENS", str(path), f"a file that can be read: {error}") from error
    if not tokens:
        raise InvalidValue("TOKENS", str(path), "one token a line, at least one")
    return tokens


def _entries(folder: Path) -> list[str]:
    """Return the names of the entries in a folder, in order."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
        names = {path.stem for path in found if path.suffix == SUFFIX}
        names |= {path.name for path in found if path.is_dir()}
    except OSError as error:
        allowed = f"a folder that can be read: {error.strerror}"
        raise InvalidValue("PLACE", str(folder), allowed) from error
    return sorted(names)


def _try(folder: Path, name: str, level: int) -> Identity | None:
    """Take an entry; None if another process holds it, or nobody can, which is logged."""
    tokens, certs = folder / f"{name}{SUFFIX}", folder / name
    try:
        held = os.open(certs if certs.is_dir() else tokens, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:  # taken away this moment, or somebody else's
        log.log(level, "place %s: %s", name, error.strerror)
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        place = settle(
            name,
            tokens if tokens.exists() else None,
            certs if certs.is_dir() else None,
            default=name,
        )
        place.check(1, may_lack=False)  # a server's bundle, if one got here
    except (BlockingIOError, InvalidValue) as error:
        os.close(held)
        if isinstance(error, InvalidValue):
            log.log(level, "place %s: %s", name, error)
        return None
    return replace(place, lock=held)


def _derive(proof: bytes) -> bytes:
    return hashlib.sha256(b"fedsiege credentials\n" + proof).digest()
