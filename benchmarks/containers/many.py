"""How many client containers one machine holds, and what sets the limit."""

import time
from statistics import median

from docker.models.containers import Container

from benchmarks.containers import engine
from benchmarks.containers.federation import CLIENT, LIGHT, Federation, federation
from benchmarks.containers.progress import add_finding, show
from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples

MOST, FEW = 200, 10
#: Containers started at a time; each batch joins an experiment before the next one starts.
BATCH, SMALL_BATCH = 25, 5
#: MiB of the machine's memory that stay free for other processes.
RESERVE = 2048


def _light(effort: Effort) -> Samples:
    """Start all containers at once and run two rounds."""
    wanted = effort.of(MOST, FEW)
    before = engine.available()
    with federation("many-light") as ours:
        began = time.monotonic()
        workers = ours.workers(LIGHT, wanted)
        started = time.monotonic() - began
        show(f"many: {wanted} light containers started in {started:.1f} s")
        ours.wait_for_workers(wanted)
        show(f"many: all attached after {time.monotonic() - began:.1f} s")
        updates, seconds = _rounds(ours, wanted)
        taken = (before - engine.available()) / wanted
        memory = engine.memory(workers)
        add_finding(
            f"many: light containers start at {wanted / started:.1f} a second, which the engine "
            f"sets, and take {taken:.0f} MiB each of the machine, {median(memory):.0f} MiB of it "
            f"their own"
        )
    return _samples(updates, seconds, taken, memory)


def _training(effort: Effort) -> Samples:
    """Start batch after batch, with an experiment each, until all run or memory is used up."""
    wanted, batch = effort.of(MOST, FEW), effort.of(BATCH, SMALL_BATCH)
    before, updates, seconds, limit = engine.available(), 0, 0.0, ""
    with federation("many-training") as ours:
        workers: list[Container] = []
        while len(workers) < wanted and not limit:
            batch = min(batch, wanted - len(workers))
            began = time.monotonic()
            try:
                workers += ours.workers(CLIENT, batch, first=len(workers))
                ours.wait_for_workers(len(workers))
                updates, seconds = _rounds(ours, len(workers))
            except ContenderError as failure:
                limit = f"{len(workers)} containers, the last batch included, failed: {failure}"
                break
            taken = (before - engine.available()) / len(workers)
            show(
                f"many: {len(workers)} trained, the last {batch} within "
                f"{time.monotonic() - began:.0f} s; {engine.available():,.0f} MiB are free"
            )
            room = int((engine.available() - RESERVE) / taken)
            if room < batch:
                batch, limit = max(room, 0), "" if room > 4 else "memory"
        memory = engine.memory(workers)
        if limit:
            add_finding(
                f"many: {updates} training containers complete a round; the limit is {limit}: "
                f"{taken:.0f} MiB each of the machine's {before:,.0f} MiB that were free, "
                f"{median(memory):.0f} MiB of it their own"
            )
    return _samples(updates, seconds, taken, memory)


def _rounds(ours: Federation, clients: int) -> tuple[int, float]:
    """Run two rounds with all attached clients; return the updates and seconds of the second."""
    finished = ours.run_experiment(clients=0, min_clients=clients, model="lenet5", rounds=2)
    last = finished.entries[-1]
    if last.updates != clients:
        raise ContenderError(f"{last.updates} of {clients} took part")
    return last.updates, last.seconds


def _samples(updates: int, seconds: float, taken: float, memory: list[float]) -> Samples:
    return {
        "took part in a round": [updates],
        "round": [seconds],
        "memory of the machine for each": [taken],
        "memory of a client": memory,
    }


_LIGHT, _TRAINING = "no training", "training"

MANY = Benchmark(
    name="many",
    title="As many client containers as this machine holds, up to 200; LeNet-5 on digits",
    units={
        "took part in a round": "",
        "round": "s",
        "memory of the machine for each": "MiB",
        "memory of a client": "MiB",
    },
    contenders=[Contender(_LIGHT, _light), Contender(_TRAINING, _training)],
    claims=[
        Claim(
            "containers without training in one round",
            lambda medians: medians[_LIGHT, "took part in a round"],
            "",
            at_least=MOST,
        ),
        Claim(
            "containers that train in one round, 200 or what the memory holds",
            lambda medians: medians[_TRAINING, "took part in a round"],
            "",
            at_least=100,
        ),
    ],
    most_repeats=1,
)
