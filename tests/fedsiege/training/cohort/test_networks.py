"""The engine trains the larger networks as the loop does, running statistics included."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.inputs import Features, Image, Inputs
from fedsiege.models.normalisation import LocalBatchNorm2d
from fedsiege.training.base import Shard
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD

SMALL = Image(channels=3, height=16, width=16)
#: Model, inputs, and the largest difference of an update in float64.
NETWORKS: list[tuple[str, Inputs, float]] = [
    ("resnet20", SMALL, 1e-12),
    ("resnet20:norm=group", SMALL, 1e-12),
    ("resnet20:norm=local", SMALL, 1e-12),
    # Behind so many normalised layers the last digits grow from step to step.
    ("mobilenet-v2:width=0.25,dropout=0", Image(channels=1, height=40, width=40), 1e-9),
    ("mlp:20-10", Features(30, 2), 1e-12),
    ("mlp:20-10", SMALL, 1e-12),
]
SGD = LocalSGD(0.001, momentum=0.9, epochs=1, batch_size=4, weight_decay=1e-3)


def trained(trainer, weights, shards, orders):
    return torch.cat([deltas for _, deltas in trainer.train(weights, shards, orders)])


def test_the_engine_trains_networks_as_the_loop_does(draw):
    for model, inputs, tolerance in NETWORKS:
        of = models.Classifier(model, inputs)
        module = of.create().double()
        # Equal batches, but not equally many: the first participants are done earlier.
        shards, orders = draw([4, 12, 8], SGD, inputs.shape, classes=inputs.classes)
        weights = models.flatten(module).double()
        loop = trained(LoopTrainer(module, SGD), weights, shards, orders)
        engine = trained(CohortTrainer(module, SGD, at_a_time=3), weights, shards, orders)
        assert (engine - loop).abs().max() <= tolerance, model
        statistics = loop[:, models.trained(of) :]
        assert statistics.numel() == 0 or statistics.abs().amax(1).min() > 0.001, model


def test_a_network_is_trained_by_the_statistics_of_each_participant(draw):
    """Participants with equal samples have equal statistics, whatever the others have."""
    module = models.Classifier("resnet20", SMALL).create().double()
    (own, other), orders = draw([4, 4], SGD, SMALL.shape)
    own_order, other_order = orders
    weights = models.flatten(module).double()
    trainer = CohortTrainer(module, SGD, at_a_time=3)
    shards = [own, Shard(100 * other.images, other.labels), own]
    three = trained(trainer, weights, shards, [own_order, other_order, own_order])
    alone = trained(trainer, weights, [own], [own_order])
    assert torch.allclose(three[[0, 2]], alone.expand(2, -1), rtol=0, atol=1e-10)


def test_statistics_that_average_all_batches_are_left_to_the_loop():
    module = nn.Sequential(nn.BatchNorm2d(1, momentum=None), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(InvalidValue, match="it averages its statistics over all batches"):
        CohortTrainer(module, SGD)


def test_a_batch_of_one_value_a_channel_is_refused_which_the_loop_joins(draw):
    module = nn.Sequential(nn.Conv2d(1, 2, 4), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 10))
    module = module.double()
    shards, orders = draw([5, 5], SGD, (1, 4, 4))
    weights = models.flatten(module).double()
    with pytest.raises(InvalidValue, match=r"5 samples.*a last batch of one"):
        CohortTrainer(module, SGD).train(weights, shards, orders)
    joined = trained(LoopTrainer(module, SGD), weights, shards, orders)
    of_five = replace(SGD, batch_size=5)
    assert torch.equal(joined, trained(LoopTrainer(module, of_five), weights, shards, orders))


def test_local_statistics_of_a_single_value_give_the_shift():
    layer = LocalBatchNorm2d(2)
    nn.init.constant_(layer.bias, 0.5)
    for training in (True, False):
        result = layer.train(training)(torch.tensor([[[[7.0]], [[-3.0]]]]))
        assert result.flatten().tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
