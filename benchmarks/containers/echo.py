"""Consecutive rounds with one container for each participant."""

import itertools
from statistics import quantiles

from benchmarks.containers import engine
from benchmarks.containers.federation import LIGHT, Federation, federation
from benchmarks.containers.light import PARAMETERS
from benchmarks.containers.progress import show
from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples

CLIENTS, FEW = 50, 5
ROUNDS = 201


def paces(ours: Federation, clients: int, rounds: int) -> list[float]:
    """Run rounds and return the seconds from the end of one to the end of the next.

    Raises:
        ContenderError: an update of a round is missing.
    """
    finished = ours.run_experiment(clients=clients, model="lenet5", rule="fedavg", rounds=rounds)
    for entry in finished.entries:
        if entry.updates != clients:
            raise ContenderError(f"{entry.updates} of {clients} took part in round {entry.round}")
    return [later - earlier for earlier, later in itertools.pairwise(finished.closed)]


def _measure(effort: Effort) -> Samples:
    clients = effort.of(CLIENTS, FEW)
    with federation("echo") as ours:
        workers = ours.workers(LIGHT, clients)
        ours.wait_for_workers(clients)
        show(f"echo: {clients} containers attached")
        seconds = paces(ours, clients, effort.of(ROUNDS, 21))
        memory = engine.memory(workers)
    return {
        "round": [1e3 * one for one in seconds],
        "90 % of rounds within": [1e3 * quantiles(seconds, n=10)[-1]],
        "rounds a second": [len(seconds) / sum(seconds)],
        "memory of a client": memory,
    }


ECHO = Benchmark(
    name="echo",
    title=f"{CLIENTS} client containers that echo {PARAMETERS:,} floats, no training, fedavg",
    units={
        "round": "ms",
        "90 % of rounds within": "ms",
        "rounds a second": "/s",
        "memory of a client": "MiB",
    },
    contenders=[Contender("FedSiege", _measure)],
    claims=[
        Claim(
            "rounds a second (Flower's deployment: 0.1)",
            lambda medians: medians["FedSiege", "rounds a second"],
            "/s",
            at_least=10,
        )
    ],
)
