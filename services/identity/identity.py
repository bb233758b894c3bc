"""A worker's identity: its name, and the tokens and certificate that prove it.

Replicas started from one description cannot each be given a name. They share a read-only folder of
identities instead, and each claims one that no other process has claimed:

    NAME.tokens   a file of enrolment tokens, one a line
    NAME/         a bundle with a certificate

A claim is a file lock, which the kernel releases when the process ends, however it ends. The
replica that replaces another one therefore claims the identity of its predecessor: its name and
its participants. Locks do not reach over machines: give each machine a folder of its own, or use a
file system that shares locks.
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
from fedsiege.services.retry import attempts

if TYPE_CHECKING:  # workers without certificates start faster without it
    from fedsiege.services.identity.tls import Tls

log = logging.getLogger(__name__)

SUFFIX = ".tokens"
#: Seconds between two searches for a free identity: at first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


@dataclass(frozen=True)
class Identity:
    """The identity of a worker.

    Attributes:
        name: the worker's name.
        secret: what the credentials of its participants are derived from; None if the worker makes
            one up. It comes from the private key or the tokens, so that the same key or tokens
            always have the same participants; without either from FEDSIEGE_SECRET.
        tokens: the enrolment token of each participant.
        tls: the certificate; None for connections without TLS.
        lock: the file descriptor that holds the claim; -1 if it was not claimed from a folder.
    """

    name: str
    secret: bytes | None = field(default=None, repr=False)
    tokens: tuple[str, ...] = field(default=(), repr=False)
    tls: "Tls | None" = None
    lock: int = -1

    def check_covers(self, participants: int, *, warn_only: bool) -> None:
        """Check that tokens and certificate cover a number of participants.

        Args:
            participants: how many participants the worker hosts.
            warn_only: log a warning instead of raising an error.

        Raises:
            InvalidValue: they cover fewer.
        """
        covered = {"tokens": len(self.tokens)} if self.tokens else {}
        if self.tls is not None:
            covered["participants in the certificate"] = self.tls.participants
        for what, count in covered.items():
            if count < participants:
                if not warn_only:
                    allowed = f"up to {count}, the number of {what}"
                    raise InvalidValue("PARTICIPANTS", participants, allowed)
                log.warning("%d participants, but only %d %s", participants, count, what)


def load_identity(
    name: str | None, tokens: Path | None, certs: Path | None, default: str
) -> Identity:
    """Return the identity that a worker's options describe.

    Args:
        name: the worker's name; None for the name in the certificate, or the default.
        tokens: a file of enrolment tokens; None for none.
        certs: a bundle with the certificate; None for no TLS.
        default: the name if neither ``name`` nor a certificate gives one.

    Raises:
        InvalidValue: a file cannot be used, or the certificate is for another name.
    """
    secret = os.environ.get("FEDSIEGE_SECRET", "").encode() or None
    lines = read_tokens(tokens) if tokens is not None else ()
    if lines:
        secret = _derive(lines[0].encode())
    if certs is None:
        return Identity(name or default, secret, lines)

    from fedsiege.services.identity.bundle import KEY, read_file
    from fedsiege.services.identity.tls import Tls

    tls = Tls(certs)
    if not tls.name or name not in (None, tls.name):
        found = f"{tls.name!r}" if tls.name else "no participant"
        raise InvalidValue("NAME", name or default, f"the certificate's name; it names {found}")
    return Identity(tls.name, _derive(read_file(certs / KEY)), lines, tls)


async def claim_identity(folder: Path) -> Identity:
    """Claim a free identity of a folder until this process ends; wait while none is free.

    Each process tries the names in an order of its own, so that a hundred processes that start
    together do not all try the same one. An identity can be released or added while it waits.

    Args:
        folder: the folder of identities, laid out as the module describes.

    Raises:
        InvalidValue: the folder cannot be read.
    """
    async for attempt in attempts(_FIRST_PAUSE, _LONGEST_PAUSE):
        names = _names(folder)
        order = random.Random(f"{socket.gethostname()} {os.getpid()}")  # noqa: S311 - no secret
        order.shuffle(names)
        for name in names:
            identity = _claim(folder, name, logging.DEBUG if attempt else logging.WARNING)
            if identity is not None:
                log.info("claimed the identity %s", name)
                return identity
        if attempt == 0:
            log.info("none of the %d identities in %s is free; waiting", len(names), folder)
    raise AssertionError("attempts never end")


def read_tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens in a file, which has one a line.

    Raises:
        InvalidValue: the file cannot be read, or has no token in it.
    """
    try:
        tokens = tuple(path.read_text().split())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue("TOKENS", str(path), f"a file that can be read: {error}") from error
    if not tokens:
        raise InvalidValue("TOKENS", str(path), "one token a line, at least one")
    return tokens


def _names(folder: Path) -> list[str]:
    """Return the names of the identities in a folder, sorted."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
        names = {path.stem for path in found if path.suffix == SUFFIX}
        names |= {path.name for path in found if path.is_dir()}
    except OSError as error:
        allowed = f"a folder that can be read: {error.strerror}"
        raise InvalidValue("IDENTITIES", str(folder), allowed) from error
    return sorted(names)


def _claim(folder: Path, name: str, level: int) -> Identity | None:
    """Claim an identity; None if another process has it, or if it cannot be used, which is logged.

    Args:
        folder: the folder of identities.
        name: the identity's name.
        level: the level of the log line.
    """
    tokens, certs = folder / f"{name}{SUFFIX}", folder / name
    try:
        lock = os.open(certs if certs.is_dir() else tokens, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:  # removed this moment, or readable by another user only
        log.log(level, "identity %s: %s", name, error.strerror)
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        identity = load_identity(
            name,
            tokens if tokens.exists() else None,
            certs if certs.is_dir() else None,
            default=name,
        )
        identity.check_covers(1, warn_only=False)  # a server's bundle may lie here by mistake
    except (BlockingIOError, InvalidValue) as error:
        os.close(lock)
        if isinstance(error, InvalidValue):
            log.log(level, "identity %s: %s", name, error)
        return None
    return replace(identity, lock=lock)


def _derive(proof: bytes) -> bytes:
    """Return the secret that follows from a private key or a token."""
    return hashlib.sha256(b"fedsiege credentials\n" + proof).digest()
