"""The ledger of enrolment tokens: an SQLite file that the command line and the aggregator share.

A token is a random text that is shown once, when it is issued; the ledger keeps only its SHA-256.
A token is bound to the first identity that enrols with it, and no other identity can use it from
then on. An identity that is bound to a valid token can only enrol with that token.
"""

import hashlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.services.errors import Forbidden, Unauthenticated

#: Number of random bytes of a token.
TOKEN_BYTES = 32
#: The most tokens that are issued at a time.
MOST_TOKENS = 100_000
#: The most characters of a label.
LABEL_LENGTH = 100
#: Seconds that a process waits for another one to finish writing.
_PATIENCE = 5.0
_DAY = 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
    digest BLOB PRIMARY KEY,
    label TEXT NOT NULL,
    issued REAL NOT NULL,
    expires REAL,
    revoked REAL,
    identity TEXT,
    bound REAL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tokens_by_identity ON tokens (identity) WHERE identity IS NOT NULL;
"""
_REVOKED_IDENTITIES = """
SELECT identity FROM tokens WHERE identity IS NOT NULL
GROUP BY identity HAVING count(*) = count(revoked)
"""


@dataclass(frozen=True)
class Entry:
    """The record of a token. Times are in seconds since 1970; None for what did not happen.

    Attributes:
        digest: SHA-256 of the token.
        label: what it was issued for.
        issued: when it was issued.
        expires: when it can no longer be bound to an identity; a bound one does not expire.
        revoked: when it was revoked.
        identity: the identity that it is bound to.
        bound: when it was bound.
    """

    digest: bytes
    label: str
    issued: float
    expires: float | None = None
    revoked: float | None = None
    identity: str | None = None
    bound: float | None = None

    @property
    def state(self) -> str:
        """The state of the token: revoked, used, expired or unused."""
        if self.revoked is not None:
            return "revoked"
        if self.identity is not None:
            return "used"
        if self.expires is not None and self.expires <= time.time():
            return "expired"
        return "unused"


class Ledger:
    """The issued tokens, in an SQLite file.

    Several processes may use one file at the same time, and several threads one ledger. Every
    change is on disk when the method returns. All methods wait for the disk: in an event loop, call
    them in a thread.

    Args:
        path: the file; made if it does not exist. SQLite keeps two more files beside it, so its
            folder must be writable, and on a local disk.

    Raises:
        FedSiegeError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen_version = -1
        self._revoked: frozenset[str] = frozenset()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._database = sqlite3.connect(
                path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise FedSiegeError(f"the token ledger {path} cannot be used: {error}") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def issue(self, count: int, label: str = "", days: float | None = None) -> list[str]:
        """Issue tokens.

        Args:
            count: how many, 1 to 100,000.
            label: what they are for; 0 to 100 printable characters.
            days: days until a token that is still unused expires; None for never.

        Returns:
            The tokens, each 43 random URL-safe characters. The ledger cannot return them again.

        Raises:
            InvalidValue: an argument is out of its range.
        """
        if not 1 <= count <= MOST_TOKENS:
            raise InvalidValue("COUNT", count, f"1 to {MOST_TOKENS} tokens at a time")
        if len(label) > LABEL_LENGTH or not label.isprintable():
            raise InvalidValue("LABEL", label, f"up to {LABEL_LENGTH} printable characters")
        if days is not None and not 0 < days <= 36_500:
            raise InvalidValue("DAYS", days, "above 0 and at most 36,500")
        issued = time.time()
        expires = None if days is None else issued + days * _DAY
        tokens = [secrets.token_urlsafe(TOKEN_BYTES) for _ in range(count)]
        with self._writing() as database:
            database.executemany(
                "INSERT INTO tokens (digest, label, issued, expires) VALUES (?, ?, ?, ?)",
                [(_digest(token), label, issued, expires) for token in tokens],
            )
        return tokens

    def revoke(self, *, token: str = "", label: str = "", identity: str = "") -> int:
        """Revoke tokens, selected by exactly one of the arguments.

        No identity can enrol with a revoked token, and the updates of those that did are refused.

        Args:
            token: a token.
            label: the label of tokens.
            identity: the identity that tokens are bound to.

        Returns:
            The number of tokens that were revoked now, without those revoked before.

        Raises:
            InvalidValue: not exactly one argument is given, or the ledger has no such token.
        """
        choices = {"token": token, "label": label, "identity": identity}
        given = {name: text for name, text in choices.items() if text}
        if len(given) != 1:
            raise InvalidValue("REVOKE", ", ".join(given), "one of token, label and identity")
        ((name, text),) = given.items()
        column, value = ("digest", _digest(text)) if name == "token" else (name, text)
        with self._writing() as database:
            known = f"SELECT 1 FROM tokens WHERE {column} = ? LIMIT 1"  # noqa: S608 - one of three
            if database.execute(known, (value,)).fetchone() is None:
                shown = "(not shown)" if name == "token" else text
                raise InvalidValue(name.upper(), shown, "one in the ledger")
            changed = database.execute(
                f"UPDATE tokens SET revoked = ? WHERE {column} = ? AND revoked IS NULL",  # noqa: S608
                (time.time(), value),
            )
            return int(changed.rowcount)

    def redeem(self, tokens: Mapping[str, str]) -> None:
        """Check the tokens of identities, and bind each unused token to its identity.

        If one token is refused, none is bound.

        Args:
            tokens: the token of each identity, by identity.

        Raises:
            Unauthenticated: ``TOKEN_MISSING``, ``UNKNOWN_TOKEN``, ``TOKEN_EXPIRED``.
            Forbidden: ``TOKEN_REVOKED``; ``TOKEN_USED``: it is bound to another identity;
                ``WRONG_TOKEN``: the identity is bound to another token.
        """
        for identity, token in tokens.items():
            if not token:  # before any disk access, so that a flood of them stays cheap
                raise Unauthenticated(
                    "TOKEN_MISSING", f"enrolment needs a token; identity {identity!r} sent none"
                )
        now = time.time()
        with self._writing() as database:
            for identity, token in tokens.items():
                _redeem(database, identity, token, now)

    def revoked_identities(self) -> frozenset[str]:
        """Return the identities all of whose tokens are revoked.

        It takes microseconds unless the file has changed since the last call.
        """
        with self._lock:
            (version,) = self._database.execute("PRAGMA data_version").fetchone()
            if version != self._seen_version:
                rows = self._database.execute(_REVOKED_IDENTITIES)
                self._revoked = frozenset(identity for (identity,) in rows)
                self._seen_version = version
            return self._revoked

    def entries(self) -> list[Entry]:
        """Return the records of all tokens, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT digest, label, issued, expires, revoked, identity, bound FROM tokens "
                "ORDER BY issued, label, digest"
            )
            return [Entry(*row) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction: write everything or nothing, while other writers wait."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            self._seen_version = -1  # data_version counts the changes of other connections only


def revoked_token(identity: str) -> Forbidden:
    """Return the error for an identity whose token has been revoked."""
    return Forbidden("TOKEN_REVOKED", f"the token of identity {identity!r} has been revoked")


def _redeem(database: sqlite3.Connection, identity: str, token: str, now: float) -> None:
    """Check the token of one identity and bind it; see ``Ledger.redeem``."""
    digest = _digest(token)
    row = database.execute(
        "SELECT revoked, identity, expires FROM tokens WHERE digest = ?", (digest,)
    ).fetchone()
    if row is None:
        raise Unauthenticated(
            "UNKNOWN_TOKEN", f"the token of identity {identity!r} is not in the ledger"
        )
    revoked, owner, expires = row
    if revoked is not None:
        raise revoked_token(identity)
    if owner is not None and owner != identity:
        raise Forbidden(
            "TOKEN_USED", f"the token of identity {identity!r} is bound to another identity"
        )
    if owner is not None:
        return
    if expires is not None and expires <= now:
        raise Unauthenticated(
            "TOKEN_EXPIRED", f"the token of identity {identity!r} expired before it was used"
        )
    bound = database.execute(
        "SELECT 1 FROM tokens WHERE identity = ? AND revoked IS NULL", (identity,)
    ).fetchone()
    if bound is not None:
        raise Forbidden("WRONG_TOKEN", f"identity {identity!r} is bound to another token")
    database.execute(
        "UPDATE tokens SET identity = ?, bound = ? WHERE digest = ?", (identity, now, digest)
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
