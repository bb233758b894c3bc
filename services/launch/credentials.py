"""What the services of one run on this machine show each other, by what enrolment asks for."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.identity.authority import Authority
from services.identity.callers import Role
from services.identity.ledger import Ledger
from services.identity.tls import Tls
from services.launch.base import Post

_AGGREGATOR, _SIMULATOR = "aggregator", "simulator"


@dataclass(frozen=True)
class Credentials:
    """Tokens and certificates of one run.

    Attributes:
        aggregator: flags for the aggregator.
        simulator: the simulator's bundle; None without TLS. It may do what the control plane may.
        tokens: each worker's file of tokens.
        bundles: each worker's bundle.
    """

    aggregator: tuple[str, ...] = ()
    simulator: Path | None = None
    tokens: Mapping[str, Path] = field(default_factory=dict)
    bundles: Mapping[str, Path] = field(default_factory=dict)

    def tls(self) -> Tls | None:
        """Return who the simulator is."""
        return None if self.simulator is None else Tls(self.simulator)

    def equip(self, post: Post) -> Post:
        """Return a worker's post with what that worker is to show."""
        return replace(post, tokens=self.tokens.get(post.name), certs=self.bundles.get(post.name))

    def let_containers_read(self) -> None:
        """Let the user of the containers, who is nobody here, read what the workers show.

        The folder around it still keeps everyone else on this machine out; what is mounted into a
        container is not behind it any more.
        """
        for path in self.tokens.values():
            path.chmod(0o644)
        for bundle in self.bundles.values():
            bundle.chmod(0o755)
            for path in bundle.iterdir():
                path.chmod(0o644)


def make(
    admission: str,
    folder: Path,
    posts: Iterable[Post],
    leaked: int,
    host: str,
) -> Credentials:
    """Make what a run needs.

    Args:
        admission: open, token or mtls.
        folder: an empty one that only its owner can read; it holds secrets.
        posts: the workers.
        leaked: how many participants a hostile worker holds credentials for.
        host: the address that aggregator and simulator are called at.
    """
    places = {
        post.name: min(leaked, post.places) if post.kind == "attacker" else post.places
        for post in posts
    }
    if admission == "token":
        return _tokens(folder, places)
    if admission == "mtls":
        return _bundles(folder, places, host)
    return Credentials(("--admission=open",))


def write_tokens(path: Path, tokens: Iterable[str]) -> None:
    """Make a file of tokens that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{token}\n" for token in tokens)


def _tokens(folder: Path, places: Mapping[str, int]) -> Credentials:
    path = folder / "tokens.sqlite"
    ledger = Ledger(path)
    files = {}
    for worker, count in places.items():
        if count:
            files[worker] = folder / f"{worker}.tokens"
            write_tokens(files[worker], ledger.issue(count, worker))
    ledger.close()
    return Credentials(("--admission=token", f"--tokens={path}"), tokens=files)


def _bundles(folder: Path, places: Mapping[str, int], host: str) -> Credentials:
    authority = Authority.create(folder)
    hosts = ("localhost", "127.0.0.1", host)
    authority.issue(_AGGREGATOR, places=0, hosts=hosts)
    authority.issue(_SIMULATOR, Role.CONTROL, hosts=hosts)
    for worker, count in places.items():
        authority.issue(worker, places=count)
    return Credentials(
        ("--admission=mtls", f"--certs={folder / _AGGREGATOR}"),
        folder / _SIMULATOR,
        bundles={worker: folder / worker for worker in places},
    )
