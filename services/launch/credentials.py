"""Tokens and certificates of one run on this machine, for each kind of admission."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.callers import Role
from fedsiege.services.identity.ledger import Ledger
from fedsiege.services.identity.tls import Tls
from fedsiege.services.launch.base import WorkerSpec

_AGGREGATOR, _SIMULATOR = "aggregator", "simulator"


@dataclass(frozen=True)
class Credentials:
    """Tokens and certificates of one run.

    Attributes:
        aggregator: command line options of the aggregator.
        simulator: the simulator's bundle, with the role control; None without TLS.
        tokens: the file of tokens of each worker, by name.
        bundles: the bundle of each worker, by name.
    """

    aggregator: tuple[str, ...] = ()
    simulator: Path | None = None
    tokens: Mapping[str, Path] = field(default_factory=dict)
    bundles: Mapping[str, Path] = field(default_factory=dict)

    def tls(self) -> Tls | None:
        """Return the simulator's TLS credentials; None without TLS."""
        return None if self.simulator is None else Tls(self.simulator)

    def equip(self, worker: WorkerSpec) -> WorkerSpec:
        """Return a worker with its token file and its bundle."""
        return replace(
            worker, tokens=self.tokens.get(worker.name), certs=self.bundles.get(worker.name)
        )

    def let_containers_read(self) -> None:
        """Let the containers' user, which does not exist here, read the workers' credentials.

        Other users of this machine still cannot read the folder around them.
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
    workers: Iterable[WorkerSpec],
    leaked: int,
    host: str,
) -> Credentials:
    """Create the credentials of a run.

    Args:
        admission: open, token or mtls.
        folder: an empty folder for the secrets, which only its owner can read.
        workers: the workers.
        leaked: number of participants for which a hostile worker has credentials.
        host: the host of aggregator and simulator, for their certificates.
    """
    hosted = {
        worker.name: min(leaked, worker.participants)
        if worker.kind == "attacker"
        else worker.participants
        for worker in workers
    }
    if admission == "token":
        return _tokens(folder, hosted)
    if admission == "mtls":
        return _bundles(folder, hosted, host)
    return Credentials(("--admission=open",))


def write_tokens(path: Path, tokens: Iterable[str]) -> None:
    """Make a file of tokens that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{token}\n" for token in tokens)


def _tokens(folder: Path, hosted: Mapping[str, int]) -> Credentials:
    path = folder / "tokens.sqlite"
    ledger = Ledger(path)
    files = {}
    for worker, count in hosted.items():
        if count:
            files[worker] = folder / f"{worker}.tokens"
            write_tokens(files[worker], ledger.issue(count, worker))
    ledger.close()
    return Credentials(("--admission=token", f"--tokens={path}"), tokens=files)


def _bundles(folder: Path, hosted: Mapping[str, int], host: str) -> Credentials:
    authority = Authority.create(folder)
    hosts = ("localhost", "127.0.0.1", host)
    authority.issue(_AGGREGATOR, participants=0, hosts=hosts)
    authority.issue(_SIMULATOR, Role.CONTROL, hosts=hosts)
    for worker, count in hosted.items():
        authority.issue(worker, participants=count)
    return Credentials(
        ("--admission=mtls", f"--certs={folder / _AGGREGATOR}"),
        folder / _SIMULATOR,
        bundles={worker: folder / worker for worker in hosted},
    )
