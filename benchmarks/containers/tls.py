"""The cost of mutual TLS: the same echo with and without it, in turns."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.containers import engine
from benchmarks.containers.echo import CLIENTS, FEW, paces
from benchmarks.containers.federation import DRIVER, LIGHT, federation, worker_name
from benchmarks.containers.light import PARAMETERS
from benchmarks.containers.progress import show
from benchmarks.contest import Benchmark, Claim, Contender, Effort, Samples
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.callers import Role

TURNS = 5
ROUNDS = 41
_HERE = ("localhost", "127.0.0.1")


@contextmanager
def certificates(clients: int) -> Iterator[Path]:
    """Keep a folder with the bundle of each service while the block runs."""
    with tempfile.TemporaryDirectory(prefix="bench-certs-") as folder:
        authority = Authority.create(Path(folder) / "certs")
        authority.issue("aggregator", participants=0, hosts=("aggregator", *_HERE))
        authority.issue("simulator", Role.CONTROL, hosts=("simulator", *_HERE))
        authority.issue(DRIVER, Role.CONTROL)
        authority.issue_all([worker_name(number) for number in range(clients)])
        # Containers run as another user, and each mounts its own bundle only.
        for path in authority.folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield authority.folder


def _measure(effort: Effort) -> Samples:
    clients = effort.of(CLIENTS, FEW)
    with (
        certificates(clients) as bundles,
        federation("clear") as clear,
        federation("mtls", bundles=bundles) as secured,
    ):
        both = {"plaintext": clear, "mTLS": secured}
        workers = {name: one.workers(LIGHT, clients) for name, one in both.items()}
        for name, one in both.items():
            one.wait_for_workers(clients)
            show(f"tls: {name}: {clients} containers attached")
        speeds: dict[str, list[float]] = {name: [] for name in both}
        for turn in range(1, effort.of(TURNS, 2) + 1):
            for name, one in both.items():
                taken = paces(one, clients, effort.of(ROUNDS, 11))
                speeds[name].append(len(taken) / sum(taken))
                show(f"tls: turn {turn}, {name}: {speeds[name][-1]:.1f} rounds a second")
        memory = {name: engine.memory(containers) for name, containers in workers.items()}
    return {
        **{f"{name}: rounds a second": taken for name, taken in speeds.items()},
        **{f"{name}: memory of a client": taken for name, taken in memory.items()},
    }


_MEASURES = {"rounds a second": "/s", "memory of a client": "MiB"}

TLS = Benchmark(
    name="tls",
    title=f"{CLIENTS} client containers that echo {PARAMETERS:,} floats, with mTLS and without",
    units={
        f"{name}: {measure}": unit
        for measure, unit in _MEASURES.items()
        for name in ("plaintext", "mTLS")
    },
    contenders=[Contender("FedSiege", _measure)],
    claims=[
        Claim(
            "with mTLS, rounds a second",
            lambda medians: medians["FedSiege", "mTLS: rounds a second"],
            "/s",
            at_least=10,
        ),
        Claim(
            "rounds a second, plaintext ÷ mTLS",
            lambda medians: (
                medians["FedSiege", "plaintext: rounds a second"]
                / medians["FedSiege", "mTLS: rounds a second"]
            ),
            "x",
            at_most=1.5,
        ),
    ],
    most_repeats=1,
)
