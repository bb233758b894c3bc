"""Federations whose participants train with Adam: over the wire, the honest and the hostile."""

import numpy as np
import pytest
import torch

from fedsiege import datasets, models, partitions
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalAdam
from tests.federation.conftest import DATA


def spec_of(**settings: object) -> ExperimentSpec:
    common = {"dataset": "digits", "clients": 6, "rounds": 3, "optimizer": "adam", "attack": 0}
    return ExperimentSpec.of({**common, **settings})


async def test_the_updates_of_a_round_are_those_of_adam(town):
    """With moments of zero in every round."""
    spec = spec_of(clients=3, trainer="loop", lr=0.01, epochs=2, batch=4)
    outcome = await town.run(spec, clients=[3])
    data = datasets.load("digits", DATA)
    shares = partitions.parse("sample").assign(data.train_labels, 3, spec.samples, spec.seed)
    trainer = LoopTrainer(models.create("net"), LocalAdam(0.01, spec.epochs, spec.batch))
    shards = [
        Shard(
            datasets.to_tensor(data.train_samples[share]),
            torch.from_numpy(np.asarray(data.train_labels[share])).long(),
        )
        for share in shares
    ]
    for number, before in enumerate(outcome.models[:-1], start=1):
        orders = [batch_order(spec.seed, number, i, spec.samples, spec.epochs) for i in range(3)]
        blocks = trainer.train(torch.from_numpy(before), shards, orders)
        mean = torch.cat([deltas for _, deltas in blocks]).mean(0).numpy()
        np.testing.assert_allclose(outcome.models[number] - before, mean, atol=1e-6)


@pytest.mark.slow
async def test_it_learns_from_random_weights(town):
    """SGD needs another learning rate than this one."""
    recipe = {"model": "lenet5", "init": "random", "samples": 100, "lr": 0.002, "batch": 10}
    adam = spec_of(**recipe, epochs=3, rounds=5)
    outcome = await town.run(adam, clients=[6])
    assert outcome.accuracies[0] < 0.3
    assert outcome.accuracies[-1] > 0.8
    outcome = await town.run(spec_of(**recipe, epochs=3, rounds=5, optimizer="sgd"))
    assert outcome.accuracies[-1] < 0.4


@pytest.mark.parametrize(
    "attack",
    [
        "sign-flip-gradient",
        pytest.param("neurotoxin", marks=pytest.mark.slow),
        pytest.param("label-flip", marks=pytest.mark.slow),
        "min-max",
    ],
)
async def test_the_compromised_train_with_it_too(town, attack):
    spec = spec_of(attack=0.34, attack_name=attack, rule="fltrust", lr=0.01)
    outcome = await town.run(spec, clients=[4], attackers=[2])
    assert [entry.updates for entry in outcome.history[1:]] == [6, 6, 6]
    assert not outcome.experiment.problem
    assert "optimizer=adam" in outcome.experiment.spec["rule"]
