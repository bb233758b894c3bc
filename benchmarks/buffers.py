"""Measure an attack through running statistics alone, with honest parameters.

Fifteen participants train a small network with batch normalisation on handwritten digits; three of
them are hostile. A hostile participant sends the mean of the honest parameters, and for the running
statistics the mean of the honest ones moved by some of their standard deviations: means up,
variances down. The table has the accuracy after the last round, the mean over the seeds, and the
lowest of them in brackets::

    python -m benchmarks.buffers --data data
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fedsiege import datasets, models, partitions, rules
from fedsiege.inputs import Inputs
from fedsiege.rules import RoundContext
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.evaluation import Evaluator
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD

PARTICIPANTS, HOSTILE, SAMPLES, ROUNDS = 15, 3, 32, 12
RULES = ("fedavg", "median", "trimmed-mean:f=3", "krum:f=3")
#: Standard deviations by which hostile statistics lie beside the honest mean; None for no attack.
SHIFTS = (None, 1.5, 100.0, 10_000.0)
SGD = LocalSGD(0.05, momentum=0.9, epochs=2, batch_size=16)


@models.register
@dataclass(frozen=True)
class SmallBatchNorm(models.Model):
    """Three convolutions of 3 by 3, each with batch normalisation, and a linear layer."""

    name = "small-batch-norm"
    summary = "three convolutions with batch normalisation"

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        module = nn.Sequential()
        before = inputs.shape[0]
        for after in (8, 16, 32):
            module.extend([nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after)])
            module.extend([nn.ReLU(), nn.MaxPool2d(2)])
            before = after
        return module.extend(
            [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, inputs.classes)]
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to SEEDS - 1")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = datasets.load("digits", options.data)
    words = ["no attack", *(f"{shift:g} deviations" for shift in SHIFTS if shift is not None)]
    print("| rule | " + " | ".join(words) + " |")
    print("|---|" + "---:|" * len(words))
    for rule in RULES:
        cells = []
        for shift in SHIFTS:
            found = [_accuracy(data, rule, shift, seed) for seed in range(options.seeds)]
            cells.append(f"{sum(found) / len(found):.1%} ({min(found):.1%})")
        print(f"| `{rule}` | " + " | ".join(cells) + " |", flush=True)


def _accuracy(data: datasets.Dataset, rule: str, shift: float | None, seed: int) -> float:
    """Return the accuracy after the last round."""
    of = models.Classifier(SmallBatchNorm.name, data.inputs)
    shares = partitions.parse("iid").assign(data.train_labels, PARTICIPANTS, SAMPLES, seed)
    shards = [
        Shard(data.tensor(data.train_samples[rows]), torch.from_numpy(data.train_labels[rows]))
        for rows in shares
    ]
    evaluate = Evaluator(of, data.test_samples, data.test_labels, preparation=data.preparation)
    trainer = LoopTrainer(of.create(), SGD)
    weights = models.random_weights(of, seed)
    chosen = rules.parse(rule).for_participants(PARTICIPANTS)
    for number in range(1, ROUNDS + 1):
        orders = [
            batch_order(seed, number, index, len(shard), SGD.epochs)
            for index, shard in enumerate(shards)
        ]
        updates = torch.cat([block for _, block in trainer.train(weights, shards, orders)])
        if shift is not None:
            updates[:HOSTILE] = _hostile(of, updates[HOSTILE:], shift)
        context = RoundContext(round_number=number, seed=seed)
        weights = weights + chosen(updates, context=context).update
        for place in models.variances(models.layout(of)):
            weights[place].clamp_(min=0)  # as the aggregator does
    return evaluate(weights).accuracy


def _hostile(of: models.Classifier, honest: Tensor, shift: float) -> Tensor:
    """Return the update that all hostile participants send, ``(d,)``."""
    update, deviation = honest.mean(0), honest.std(0)
    for place, sign in _statistics(of):
        update[place] += sign * shift * deviation[place]
    return update


def _statistics(of: models.Classifier) -> Iterator[tuple[slice, int]]:
    """Yield the place of all running statistics with 1, then those of variances with -2."""
    yield slice(models.trained(of), None), 1
    for place in models.variances(models.layout(of)):
        yield place, -2


if __name__ == "__main__":
    main()
