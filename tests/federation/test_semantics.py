"""What the original federation did right is kept; its faults are not (science.md, section 1)."""

import numpy as np
import pytest
import torch

from fedsiege import datasets, models, partitions
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD
from tests.federation.conftest import DATA


def test_the_defaults_are_the_originals():
    spec = ExperimentSpec()
    assert (spec.attack, spec.clients, spec.scale, spec.samples) == (0.2, 100, 1.0, 4)
    resolved = resolve(spec).spec
    assert (resolved.lr, resolved.momentum, resolved.batch, resolved.epochs) == (0.001, 0.9, 4, 2)
    assert resolved.threshold == 100
    assert models.size(spec.model) == 13_106


async def test_the_first_entry_is_the_accuracy_before_any_round(town):
    outcome = await town.run(ExperimentSpec(dataset="digits", rounds=2, clients=5, attack=0), [5])
    assert [entry.round for entry in outcome.history] == [0, 1, 2]
    assert outcome.history[0].updates == 0
    weights, _ = models.initial_weights("net", "", "digits", 0)
    np.testing.assert_array_equal(outcome.models[0], weights.numpy())


async def test_an_update_is_the_difference_to_the_rounds_own_model(town):
    """The original's clients load the model once; later, they drag it back to the start."""
    asked = ExperimentSpec(dataset="digits", rounds=3, clients=3, attack=0, trainer="loop")
    spec = resolve(asked).spec
    outcome = await town.run(spec, clients=[3])
    data = datasets.load("digits", DATA)
    shares = partitions.parse("sample").assign(data.train_labels, 3, spec.samples, spec.seed)
    trainer = LoopTrainer(models.create("net"), LocalSGD(spec.lr, spec.momentum, spec.epochs, 4))
    shards = [
        Shard(
            datasets.to_tensor(data.train_samples[share]),
            torch.from_numpy(np.asarray(data.train_labels[share])).long(),
        )
        for share in shares
    ]
    for number, (before, after) in enumerate(
        zip(outcome.models, outcome.models[1:], strict=False), start=1
    ):
        orders = [batch_order(spec.seed, number, i, spec.samples, spec.epochs) for i in range(3)]
        deltas = torch.cat(
            [block for _, block in trainer.train(torch.from_numpy(before), shards, orders)]
        )
        np.testing.assert_allclose(after - before, deltas.mean(0).numpy(), atol=1e-7)


async def test_the_number_of_samples_is_heeded(town):
    """The original ignores it."""
    outcomes = [
        await town.run(
            ExperimentSpec(dataset="digits", rounds=1, clients=4, attack=0, samples=samples),
            clients=[4] * (samples == 4),
        )
        for samples in (4, 8)
    ]
    assert not np.array_equal(outcomes[0].models[-1], outcomes[1].models[-1])


async def test_every_round_aggregates_everyone(town):
    """The original's 80 + 20 updates at a threshold of 100 make one aggregation a run."""
    outcome = await town.run(ExperimentSpec(dataset="digits", rounds=3), [80], [20])
    assert [entry.updates for entry in outcome.history] == [0, 100, 100, 100]
    assert len({model.tobytes() for model in outcome.models}) == 4


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.7, 1.0])
async def test_any_fraction_of_fakes_is_exact(town, fraction):
    """The original makes 0.3 a third, and divides by zero above two thirds."""
    spec = ExperimentSpec(dataset="digits", rounds=1, clients=20, attack=fraction)
    hostile = round(20 * fraction)
    outcome = await town.run(spec, clients=[20 - hostile], attackers=[hostile])
    assert len(outcome.experiment.hostile_indices) == hostile
    assert outcome.history[-1].updates == 20


async def test_the_threshold_closes_a_round_without_the_rest(town):
    spec = ExperimentSpec(dataset="digits", rounds=2, clients=20, attack=0, threshold=12)
    outcome = await town.run(spec, clients=[10, 10])
    assert [entry.updates for entry in outcome.history[1:]] == [12, 12]
