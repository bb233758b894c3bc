"""What holds for every adaptive fake, and what they do to a federation that takes the mean."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch

from fedsiege import attacks, datasets, models, partitions
from fedsiege.attacks import Attack, Broadcast, StatefulAttack
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.optimiser import LocalSGD
from tests.cases import each

ADAPTIVE = [
    "ad-anti",
    "ad-drift",
    "ad-hist",
    "ad-mpaf",
    "ad-sgn",
    "ad-sleep:rounds=3",
    "ad-synth",
    "ad-synthp",
]
#: Rounds after which every one of them has something to send.
ROUNDS = 5


def sent(attack: Attack, broadcasts: list[Broadcast], fakes: list[int]) -> list[torch.Tensor]:
    """Return what the fakes send in each round."""
    state, rounds = None, []
    for broadcast in broadcasts:
        if isinstance(attack, StatefulAttack):
            rows, state = attack.advance(broadcast, fakes, state)
        else:
            rows = attack.craft(broadcast, fakes)
        rounds.append(rows)
    return rounds


def walk(broken: float = 0.0, breaks: int = ROUNDS) -> list[Broadcast]:
    """What is broadcast of a model that drifts, and is destroyed in one round."""
    draw = torch.Generator().manual_seed(5)
    path = models.random_weights("net", 1) + 0.01 * torch.randn(
        ROUNDS, 13_106, generator=draw
    ).cumsum(0)
    path[breaks - 1, :7] += broken
    before = [None, *path[:-1]]
    return [Broadcast(t, path[t - 1], before[t - 1], "net", 1) for t in range(1, ROUNDS + 1)]


@each("text", ADAPTIVE)
def test_they_begin_with_zeros_and_end_with_rows_that_differ(text: str) -> None:
    rounds = sent(attacks.parse(text), walk(), [2, 5, 9])
    for rows in rounds:
        assert rows.shape == (3, 13_106)
        assert rows.dtype == torch.float32
        assert rows.isfinite().all()
    assert not rounds[0].any()
    assert rounds[-1].any(dim=1).all()
    cosines = torch.corrcoef(rounds[-1]) - 2 * torch.eye(3)
    assert cosines.max() < 0.999


@pytest.mark.slow
@each("text", ADAPTIVE)
def test_the_split_over_workers_changes_nothing(text: str) -> None:
    together = sent(attacks.parse(text), walk(), [2, 5, 9])
    apart = [sent(attacks.parse(text), walk(), part) for part in ([2], [5, 9], [])]
    for rows, *parts in zip(together, *apart, strict=True):
        assert torch.equal(rows, torch.cat(parts))


@each("text", ADAPTIVE)
def test_what_was_broadcast_stays_as_it_was(text: str) -> None:
    broadcasts, same = walk(), walk()
    sent(attacks.parse(text), broadcasts, [2])
    for heard, as_it_was in zip(broadcasts, same, strict=True):
        assert torch.equal(heard.model, as_it_was.model)


@pytest.mark.slow
@each("text", ADAPTIVE)
@each("broken", [math.nan, math.inf, -math.inf, 3e38])
def test_a_destroyed_model_does_not_stop_them(text: str, broken: float) -> None:
    rounds = sent(attacks.parse(text), walk(broken, breaks=3), [1, 2])
    assert [rows.shape for rows in rounds] == [(2, 13_106)] * ROUNDS


@cache
def shards() -> list[Shard]:
    """Ten participants with forty digits each."""
    data = datasets.load("digits", Path("."))
    shares = partitions.parse("iid").assign(data.train_labels, 10, 40, 0)
    return [
        Shard(
            datasets.to_tensor(data.train_samples[share]),
            torch.from_numpy(data.train_labels[share]),
        )
        for share in shares
    ]


def accuracy_under(text: str, rounds: int) -> float:
    """Return the accuracy after rounds of federated averaging with four fakes among ten, in %.

    Args:
        text: the attack; empty for four participants who do not come.
    """
    data = datasets.load("digits", Path("."))
    sgd, module = LocalSGD(learning_rate=0.05, momentum=0, epochs=1, batch_size=10), "net"
    trainer = CohortTrainer(models.create(module), sgd)
    model, _ = models.initial_weights(module, "", "digits", 0)
    previous, state = None, None
    attack = attacks.parse(text) if text else None
    for number in range(1, rounds + 1):
        orders = [batch_order(0, number, i, 40, sgd.epochs) for i in range(6)]
        updates = torch.cat([rows for _, rows in trainer.train(model, shards()[:6], orders)])
        broadcast = Broadcast(number, model, previous, module, 0)
        if isinstance(attack, StatefulAttack):
            rows, state = attack.advance(broadcast, range(6, 10), state)
            updates = torch.cat([updates, rows])
        elif attack is not None:
            updates = torch.cat([updates, attack.craft(broadcast, range(6, 10))])
        previous, model = model, model + updates.mean(0)
    tested = models.create(module)
    models.unflatten_into(tested, model)
    with torch.no_grad():
        found = tested(datasets.to_tensor(data.test_samples)).argmax(1).numpy()
    return 100 * float((found == data.test_labels).mean())


@pytest.mark.parametrize("text", ["", *ADAPTIVE, "flooding", "replay:delay=1,scale=20"])
def test_four_of_ten_destroy_what_the_mean_has_learnt(text: str) -> None:
    accuracy = accuracy_under(text, rounds=12)
    if text:
        assert accuracy < 40
    else:
        assert accuracy > 90


def test_a_sleeper_does_no_harm_while_it_sleeps() -> None:
    assert accuracy_under("ad-sleep:rounds=8", rounds=8) > 90
