"""Layers that draw at random, such as dropout: what they draw depends on the seeds alone."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fedsiege.errors import InvalidValue
from fedsiege.training.choice import choose
from fedsiege.training.hosted import LocalTraining
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD
from tests.classifiers import register

SGD = LocalSGD(epochs=1, batch_size=4)


@pytest.fixture
def trainer() -> LoopTrainer:
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
    chosen, _ = choose(module, SGD, [])
    assert type(chosen) is LoopTrainer, "the engine does not know this layer"
    return chosen


def train(trainer, shards, orders, seeds=None) -> Tensor:
    weights = torch.zeros(7850)
    return torch.cat([rows for _, rows in trainer.train(weights, shards, orders, None, seeds)])


def test_dropout_depends_on_the_seed_alone(trainer, draw):
    shards, orders = draw([4, 4, 4], SGD, dtype=torch.float32)
    together = train(trainer, shards, orders, [1, 2, 3])
    torch.rand(5)  # moves torch's global generator on
    alone = train(trainer, shards[1:2], orders[1:2], [2])
    assert alone[0].equal(together[1]), "the same whoever trains beside it, and before it"
    assert not train(trainer, shards[1:2], orders[1:2], [4]).equal(alone)
    assert train(trainer, shards, orders).equal(train(trainer, shards, orders))


def test_the_global_generator_is_left_as_it_was(trainer, draw):
    shards, orders = draw([4], SGD, dtype=torch.float32)
    before = torch.get_rng_state()
    train(trainer, shards, orders, [1])
    assert torch.get_rng_state().equal(before)


def test_each_participant_has_a_seed(trainer, draw):
    shards, orders = draw([4, 4], SGD, dtype=torch.float32)
    with pytest.raises(InvalidValue, match="seeds"):
        trainer.train(torch.zeros(7850), shards, orders, None, [1])


def test_a_participant_drops_the_same_whichever_worker_hosts_it(monkeypatch):
    register(
        monkeypatch,
        lambda inputs: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10)),
    )

    def updates(hosted: list[int], round_number: int, seed: int = 3) -> Tensor:
        training = LocalTraining("own", "digits", Path("nowhere"), "sample", 4, 6, seed, SGD)
        training.prepare(hosted)
        blocks = training.updates(round_number, torch.zeros(7850), hosted)
        return torch.cat([rows for _, rows in blocks])

    together = updates([0, 2, 5], 1)
    assert updates([2], 1)[0].equal(together[1])
    assert not updates([2], 2)[0].equal(together[1])
    assert not updates([2], 1, seed=4)[0].equal(together[1])
