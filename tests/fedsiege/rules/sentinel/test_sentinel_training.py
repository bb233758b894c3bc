"""Sentinel with real training: a federation of 20 with 8 fakes, on data of few classes each."""

import functools
from pathlib import Path

import pytest
import torch

from fedsiege import attacks, datasets, models, partitions, rules
from fedsiege.attacks import Broadcast, StatefulAttack
from fedsiege.rules import RoundContext
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.optimiser import LocalSGD

MODEL, N, SAMPLES, ROUNDS, SEED = "lenet5", 20, 60, 5, 0
FAKES = tuple(range(0, 16, 2))
HONEST = tuple(i for i in range(N) if i not in FAKES)
SGD = LocalSGD(learning_rate=0.05, momentum=0.0, epochs=2, batch_size=10)


@functools.cache
def shards() -> list[Shard]:
    data = datasets.load("digits", Path())
    shares = partitions.parse("dirichlet-prior:0.5").assign(data.train_labels, N, SAMPLES, SEED)
    return [
        Shard(datasets.to_tensor(data.train_samples[s]), torch.from_numpy(data.train_labels[s]))
        for s in shares
    ]


@functools.cache
def trainer() -> CohortTrainer:
    return CohortTrainer(models.create(MODEL), SGD)


def trained(weights: torch.Tensor, participants: tuple[int, ...], number: int) -> torch.Tensor:
    own = [shards()[i] for i in participants]
    orders = [batch_order(SEED, number, i, len(shards()[i]), SGD.epochs) for i in participants]
    return torch.cat([rows for _, rows in trainer().train(weights, own, orders)])


def federation(rule: str, attack_text: str) -> tuple[rules.Aggregation, torch.Tensor]:
    """Run a few rounds; return what the rule made of the last, and what the honest mean was."""
    attack, defence = attacks.parse(attack_text), rules.parse(rule)
    weights = models.random_weights(MODEL, SEED)
    previous, remembered, campaign = None, None, None
    for number in range(1, ROUNDS + 1):
        updates = torch.empty(N, len(weights))
        updates[list(HONEST)] = trained(weights, HONEST, number)
        broadcast = Broadcast(number, weights, previous, MODEL, SEED)
        if isinstance(attack, StatefulAttack):
            updates[list(FAKES)], campaign = attack.advance(broadcast, FAKES, campaign)
        else:
            updates[list(FAKES)] = attack.craft(broadcast, FAKES)
        context = RoundContext(
            round_number=number, model=weights, layout=models.layout(MODEL), seed=SEED
        )
        result = defence(updates, context=context, state=remembered)
        previous, remembered = weights, result.state
        weights = weights + result.update
    return result, updates[list(HONEST)].mean(dim=0)


@pytest.mark.parametrize(
    "attack",
    [
        "mpaf",
        pytest.param("mpaf-spread", marks=pytest.mark.slow),
        pytest.param("poisonedfl-noise", marks=pytest.mark.slow),
    ],
)
def test_fakes_win_under_fedavg_and_lose_under_sentinel(attack: str) -> None:
    dragged, wanted = federation("fedavg", attack)
    assert torch.cosine_similarity(dragged.update, wanted, dim=0) < 0.5
    result, wanted = federation("sentinel", attack)
    assert torch.cosine_similarity(result.update, wanted, dim=0) > 0.8
    assert not result.accepted[list(FAKES)].any()
    assert result.accepted[list(HONEST)].all()


def test_without_an_attack_the_update_is_close_to_the_mean() -> None:
    weights = models.random_weights(MODEL, SEED)
    updates = trained(weights, tuple(range(N)), 1)
    context = RoundContext(round_number=1, layout=models.layout(MODEL))
    result = rules.create("sentinel")(updates, context=context)
    assert result.accepted.all()
    assert torch.cosine_similarity(result.update, updates.mean(dim=0), dim=0) > 0.95
