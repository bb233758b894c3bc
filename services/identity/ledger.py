"""The ledger of enrolment tokens: an SQLite file that the command line and the aggregator share.

A token is a random text that is shown once, when it is issued; only its SHA-256 is kept. The first
identity that shows it is bound to it, and nobody else can use it from then on. An identity that is
bound to a token that holds can only be enrolled with that token.
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
from services.errors import Forbidden, Unauthenticated

#: Random bytes of a token.
TOKEN_BYTES = 32
#: Tokens issued at a time.
MOST_TOKENS = 100_000
LABEL_LENGTH = 100
#: Seconds that one process waits while another writes.
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
    """What the ledger knows of a token. Times are seconds since 1970; None: not (yet).

    Attributes:
        digest: SHA-256 of the token.
        label: what it was issued for.
        expires: from when on nobody can be bound to it; who is bound by then stays so.
        identity: who is bound to it.
        bound: since when.
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
        """Say in a word where it stands: revoked, used, expired or unused."""
        if self.revoked is not None:
            return "revoked"
        if self.identity is not None:
            return "used"
        if self.expires is not None and self.expires <= time.time():
            return "expired"
        return "unused"


class Ledger:
    """The tokens that have been issued.

    Several processes may use one file at the same time, and several threads one ledger. Every
    change is on disk when the method returns. All methods wait for the disk: call them in a thread
    where an event loop runs.

    Args:
        path: the file; it is made if there is none. SQLite keeps two more beside it, so that its
            folder must be writable, and on this machine's own disk.

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
            label: what for; up to 100 printable characters, or none.
            days: until when each must have been used first; None for ever.

        Returns:
            The tokens: random texts of 43 url-safe characters. They cannot be had again.

        Raises:
            InvalidValue: what cannot be.
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
        """Revoke tokens: one, all of a label, or those an identity is bound to.

        Nobody is enrolled with a revoked token, and the updates of who was are refused from then
        on.

        Returns:
            How many were revoked now; those that were revoked already do not count.

        Raises:
            InvalidValue: not exactly one of the three is given, or the ledger has no such token.
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
                raise InvalidValue(name.upper(), shown, "one that is in the ledger")
            changed = database.execute(
                f"UPDATE tokens SET revoked = ? WHERE {column} = ? AND revoked IS NULL",  # noqa: S608
                (time.time(), value),
            )
            return int(changed.rowcount)

    def redeem(self, tokens: Mapping[str, str]) -> None:
        """Let identities show their tokens; who shows a fresh one is bound to it.

        All or nothing: if one is refused, none is bound.

        Args:
            tokens: the token that each identity shows.

        Raises:
            Unauthenticated: ``TOKEN_MISSING``, ``UNKNOWN_TOKEN``, ``TOKEN_EXPIRED``.
            Forbidden: ``TOKEN_REVOKED``; ``TOKEN_USED``, by another identity; ``WRONG_TOKEN``: the
                identity is bound to another one.
        """
        for identity, token in tokens.items():
            if not token:  # costs no disk: that is how a thousand come that have none
                raise Unauthenticated(
                    "TOKEN_MISSING", f"enrolment asks for a token; identity {identity!r} shows none"
                )
        now = time.time()
        with self._writing() as database:
            for identity, token in tokens.items():
                _redeem(database, identity, token, now)

    def revoked_identities(self) -> frozenset[str]:
        """Return the identities all of whose tokens are revoked.

        Costs microseconds while nobody writes.
        """
        with self._lock:
            (version,) = self._database.execute("PRAGMA data_version").fetchone()
            if version != self._seen_version:
                rows = self._database.execute(_REVOKED_IDENTITIES)
                self._revoked = frozenset(identity for (identity,) in rows)
                self._seen_version = version
            return self._revoked

    def entries(self) -> list[Entry]:
        """Return what is known of all tokens, in the order of their issue."""
        with self._lock:
            rows = self._database.execute(
                "SELECT digest, label, issued, expires, revoked, identity, bound FROM tokens "
                "ORDER BY issued, label, digest"
            )
            return [Entry(*row) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Change the ledger, all or nothing; others wait meanwhile."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            self._seen_version = -1  # SQLite tells a connection of others' changes only


def revoked_token(identity: str) -> Forbidden:
    """Return the refusal of an identity whose token has been revoked."""
    return Forbidden("TOKEN_REVOKED", f"the token of identity {identity!r} has been revoked")


def _redeem(database: sqlite3.Connection, identity: str, token: str, now: float) -> None:
    digest = _digest(token)
    row = database.execute(
        "SELECT revoked, identity, expires FROM tokens WHERE digest = ?", (digest,)
    ).fetchone()
    if row is None:
        raise Unauthenticated(
            "UNKNOWN_TOKEN", f"the token of identity {identity!r} was not issued here"
        )
    revoked, owner, expires = row
    if revoked is not None:
        raise revoked_token(identity)
    if owner is not None and owner != identity:
        raise Forbidden(
            "TOKEN_USED", f"the token that identity {identity!r} shows is used by another one"
        )
    if owner is not None:
        return
    if expires is not None and expires <= now:
        raise Unauthenticated(
            "TOKEN_EXPIRED", f"the token of identity {identity!r} has expired unused"
        )
    held = database.execute(
        "SELECT 1 FROM tokens WHERE identity = ? AND revoked IS NULL", (identity,)
    ).fetchone()
    if held is not None:
        raise Forbidden("WRONG_TOKEN", f"identity {identity!r} is bound to another token")
    database.execute(
        "UPDATE tokens SET identity = ?, bound = ? WHERE digest = ?", (identity, now, digest)
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
