"""Local training without a network: the cohort engine beside the loop, on one thread.

``python -m benchmarks.training`` prints the tables. The engine was designed for the workloads W1,
W2 and W3.
"""

import functools
import time
from collections.abc import Callable

import torch
from rich.console import Console

from benchmarks import machine, report
from benchmarks.contest import Benchmark, Claim, Contender, Effort, Samples, run
from fedsiege import models
from fedsiege.services.rpc.process import tune_allocator
from fedsiege.training.base import Shard, Trainer, batch_order
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD

LOOP, ENGINE = "one by one", "cohort engine"
_REPEATS = 7


def _workload(
    name: str, model: str, participants: int, batch: int, steps: int, at_least: float
) -> Benchmark:
    """Return the benchmark of training participants, each on one batch a step."""
    sgd = LocalSGD(learning_rate=0.01, momentum=0.9, epochs=steps, batch_size=batch)

    def contender(name: str, build: Callable[[], Trainer]) -> Contender:
        return Contender(name, functools.partial(_measure, build, model, participants, sgd))

    def engine() -> Trainer:
        shards = _shards(participants, batch)
        return CohortTrainer(models.create(model), sgd).sized_for(shards)

    return Benchmark(
        name=name,
        title=f"{participants} participants train {model}, batch {batch} x {steps}, one thread",
        units={"round": "ms"},
        contenders=[
            contender(LOOP, lambda: LoopTrainer(models.create(model), sgd)),
            contender(ENGINE, engine),
        ],
        claims=[
            Claim(
                "loop ÷ engine",
                lambda medians: medians[LOOP, "round"] / medians[ENGINE, "round"],
                "x",
                at_least,
            )
        ],
    )


def _shards(participants: int, samples: int) -> list[Shard]:
    generator = torch.Generator().manual_seed(0)
    return [
        Shard(
            torch.randn(samples, 1, 28, 28, generator=generator),
            torch.randint(10, (samples,), generator=generator),
        )
        for _ in range(participants)
    ]


def _measure(
    build: Callable[[], Trainer], model: str, participants: int, sgd: LocalSGD, effort: Effort
) -> Samples:
    """Train some rounds and return their milliseconds; the first is a warm-up and not counted."""
    torch.set_num_threads(1)
    trainer, weights = build(), models.random_weights(model, seed=0)
    shards = _shards(participants, sgd.batch_size)
    orders = [batch_order(0, 1, i, sgd.batch_size, sgd.epochs) for i in range(participants)]
    samples = []
    for _ in range(1 + effort.of(5, 1)):
        start = time.perf_counter()
        for _ in trainer.train(weights, shards, orders):
            pass
        samples.append((time.perf_counter() - start) * 1e3)
    return {"round": samples[1:]}


WORKLOADS = (
    _workload("local-training-w1", "lenet5", 100, batch=4, steps=5, at_least=4),
    _workload("local-training-w2", "net", 100, batch=4, steps=2, at_least=8),
    _workload("local-training-w3", "cnn", 100, batch=32, steps=1, at_least=0.9),
)


def main() -> None:
    """Run every workload and print the tables."""
    tune_allocator()
    console = Console(highlight=False)
    for workload in WORKLOADS:
        outcome = run(workload, Effort(_REPEATS), lambda line: console.print(line, markup=False))
        report.show(console, report.record(outcome, machine.describe()))


if __name__ == "__main__":
    main()
