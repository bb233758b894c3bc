"""The memory of a server for thousands of idle streams, each over a connection of its own."""

import time

from docker.models.containers import Container

from benchmarks.containers import engine
from benchmarks.containers.federation import (
    AGGREGATOR,
    BENCHMARKS,
    SIMULATOR,
    Federation,
    federation,
)
from benchmarks.containers.progress import show
from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples
from fedsiege.v1 import aggregator_pb2 as pb

COUNT, FEW = 5000, 200
_TIME_LIMIT = 120.0
_FILES = 20_000
#: All streams come from one peer, for which the default limit is lower.
_LIMITS = ("--limits=streams=10000",)
_KIBIBYTES = 1024


def _hold(ours: Federation, count: int, *options: str) -> Container:
    """Start a container with idle streams; return when all are open."""
    holder = ours.network.start(
        "idle",
        ["python", "-m", "benchmarks.containers.idle", *options, f"--streams={count}"],
        BENCHMARKS,
        environment={"PYTHONPATH": "/bench"},
        ulimits=[engine.files(_FILES)],
    )
    until = time.monotonic() + _TIME_LIMIT
    while f"open {count}\n".encode() not in holder.logs(stderr=False):
        holder.reload()
        if holder.status != "running" or time.monotonic() > until:
            words = holder.logs(stdout=False, tail=3).decode(errors="replace").split()
            raise ContenderError(f"the streams are not open: {' '.join(words)}")
        time.sleep(0.5)
    return holder


def _grown(ours: Federation, server: Container, count: int, *options: str) -> Samples:
    """Return the growth of a server's memory for each stream, in KiB."""
    before, before_all = engine.resident(server), engine.memory([server])[0]
    began = time.monotonic()
    holder = _hold(ours, count, *options)
    show(f"streams: {count} opened within {time.monotonic() - began:.1f} s")
    time.sleep(2)  # memory that was used to open them is released
    grown = engine.resident(server) - before
    grown_all = engine.memory([server])[0] - before_all
    holder.reload()
    if holder.status != "running":
        raise ContenderError("a stream ended")
    return {
        "memory for each": [grown * _KIBIBYTES / count],
        "with the kernel's": [grown_all * _KIBIBYTES / count],
    }


def _watch(effort: Effort) -> Samples:
    count = effort.of(COUNT, FEW)
    with federation("streams", *_LIMITS) as ours:
        spec = pb.FederationSpec(model="lenet5", dataset="digits", rule="fedavg")
        created = ours.data.CreateFederation(
            pb.CreateFederationRequest(spec=spec), timeout=_TIME_LIMIT, wait_for_ready=True
        ).federation
        # The first call of a method takes memory that later calls share.
        next(
            iter(ours.data.WatchRounds(pb.WatchRoundsRequest(federation_id=created.federation_id)))
        )
        options = ("watch", f"--address={AGGREGATOR}", f"--federation={created.federation_id}")
        return _grown(ours, ours.aggregator, count, *options)


def _attach(effort: Effort) -> Samples:
    count = effort.of(COUNT, FEW)
    with federation("streams", *_LIMITS) as ours:
        ours.attached()
        samples = _grown(ours, ours.simulator, count, "attach", f"--address={SIMULATOR}")
        if (there := len(ours.attached())) != count:
            raise ContenderError(f"{there} of {count} workers are attached")
        return samples


def _claim(contender: str) -> Claim:
    return Claim(
        f"{contender}: memory for each",
        lambda medians: medians[contender, "memory for each"],
        "KiB",
        at_most=60,
    )


_WATCH, _ATTACH = "WatchRounds on the aggregator", "Attach on the simulator"

STREAMS = Benchmark(
    name="streams",
    title=f"{COUNT:,} idle streams on one server, each over a connection of its own",
    units={"memory for each": "KiB", "with the kernel's": "KiB"},
    contenders=[Contender(_WATCH, _watch), Contender(_ATTACH, _attach)],
    claims=[_claim(_WATCH), _claim(_ATTACH)],
    most_repeats=1,
)
