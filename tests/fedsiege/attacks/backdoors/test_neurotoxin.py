"""The backdoor keeps to the coordinates that the last global step moved least."""

import pytest
import torch

from fedsiege import attacks, models
from fedsiege.attacks import Broadcast
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalAdam, LocalSGD


def mask(model, previous, keep, hear):
    return attacks.create("neurotoxin", keep=keep).gradient_factor(hear(model, previous))


def test_the_smallest_by_absolute_value_are_kept(hear):
    """|step| = 3, 1, 0, 2: a large fall is no small gradient."""
    model, previous = [0.0, 5.0, 1.0, 2.0], [3.0, 4.0, 1.0, 0.0]
    assert mask(model, previous, 0.5, hear).tolist() == [0.0, 1.0, 1.0, 0.0]
    assert mask(model, previous, 0.75, hear).tolist() == [0.0, 1.0, 1.0, 1.0]
    assert mask(model, previous, 0.74, hear).tolist() == [0.0, 1.0, 1.0, 0.0]
    assert mask(model, previous, 1.0, hear).tolist() == [1.0] * 4


def test_of_equal_steps_the_first_are_kept(hear):
    kept = mask([1.0] * 100, [0.0] * 100, 0.3, hear)
    assert kept.tolist() == [1.0] * 30 + [0.0] * 70


def test_without_a_last_step_there_is_no_mask(hear):
    assert mask([1.0, 2.0], None, 0.5, hear) is None
    assert mask([1.0, 2.0], [1.0, 2.0], 0.5, hear) is None


def test_the_other_backdoors_train_everywhere(hear):
    heard = hear([1.0, 2.0], [0.0, 0.0])
    assert attacks.create("badnets").gradient_factor(heard) is None


@pytest.mark.parametrize("optimiser", [LocalSGD(0.05, momentum=0.0), LocalAdam(0.01)], ids=str)
@pytest.mark.parametrize("trainer", [LoopTrainer, CohortTrainer])
def test_its_update_is_zero_outside_the_mask(trainer, optimiser):
    attack = attacks.create("neurotoxin", keep=0.7, boost=3.0)
    model, previous = (models.random_weights("net", seed) for seed in (0, 1))
    pictures = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shards = [attack.poison(Shard(pictures, torch.arange(8)), i, seed=0) for i in (2, 5)]
    orders = [batch_order(0, 2, i, 8, 2) for i in (2, 5)]
    factor = attack.gradient_factor(Broadcast(2, model, previous, "net", 0))
    blocks = trainer(models.create("net"), optimiser).train(model, shards, orders, factor)
    own = torch.cat([deltas for _, deltas in blocks])
    update = attack.craft(Broadcast(2, model, previous, "net", 0, (2, 5), own), [2, 5])
    assert factor.sum() == 9174  # 70 % of 13,106
    assert not update[:, factor == 0].any()
    assert update[:, factor == 1].any(dim=1).all()
