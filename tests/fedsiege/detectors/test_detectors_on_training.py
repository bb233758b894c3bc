"""Real updates: honest ones of unlike samples pass, each attack is seen by those meant for it."""

from pathlib import Path

import pytest
import torch

from fedsiege import attacks, datasets, detectors, models, partitions
from fedsiege.attacks import Broadcast
from fedsiege.attacks.base import StatefulAttack
from fedsiege.rules import RoundContext
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.optimiser import LocalSGD

N, ROUNDS, FAKES = 24, 6, tuple(range(0, 24, 4))
HONEST = tuple(i for i in range(N) if i not in FAKES)
ALL = "norm/duplicate/history/fixed-point/layers"
SGD = LocalSGD(learning_rate=0.01, momentum=0.9, epochs=2, batch_size=4)


@pytest.fixture(scope="module", params=["dirichlet-prior:0.1", "iid"])
def honest(request: pytest.FixtureRequest) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The model and the updates of all participants, trained as told, round by round.

    The model follows those who are honest in every test: what an audit that works leaves in.
    """
    data = datasets.load("digits", Path())
    shares = partitions.parse(request.param).assign(data.train_labels, N, 30, 1)
    shards = [
        Shard(
            datasets.to_tensor(data.train_samples[share]),
            torch.from_numpy(data.train_labels[share]).long(),
        )
        for share in shares
    ]
    trainer = CohortTrainer(models.create("net"), SGD)
    weights, _ = models.initial_weights("net", "pretrained", "digits", 1)
    rounds = []
    for number in range(1, ROUNDS + 1):
        orders = [batch_order(1, number, i, len(shards[i]), SGD.epochs) for i in range(N)]
        updates = torch.cat([rows for _, rows in trainer.train(weights, shards, orders)])
        rounds.append((weights, updates))
        weights = weights + updates[list(HONEST)].mean(dim=0)
    return rounds


def flags(rounds, attack: str, text: str = ALL) -> dict[str, torch.Tensor]:
    """Return for each detector ``(rounds, n)`` bool."""
    examiner, crafting, state, memory = detectors.parse(text), attacks.parse(attack), None, None
    found = []
    for number, (weights, updates) in enumerate(rounds, 1):
        previous = rounds[number - 2][0] if number > 1 else None
        broadcast = Broadcast(number, weights, previous, "net", 1)
        if isinstance(crafting, StatefulAttack):
            crafted, memory = crafting.advance(broadcast, FAKES, memory)
        else:
            crafted = crafting.craft(broadcast, FAKES)
        sent = updates.clone()
        sent[list(FAKES)] = crafted
        context = RoundContext(
            participants=torch.arange(N),
            round_number=number,
            model=weights,
            layout=models.layout("net"),
        )
        examination = examiner.examine(sent, context, state)
        state = examination.state
        found.append(examination.flagged)
    stacked = torch.stack(found, dim=1)
    return {one.name: flagged for one, flagged in zip(examiner.detectors, stacked, strict=True)}


def test_honest_participants_are_let_be(honest):
    state, examiner, flagged = None, detectors.parse(ALL), []
    for number, (weights, updates) in enumerate(honest, 1):
        context = RoundContext(
            participants=torch.arange(N),
            round_number=number,
            model=weights,
            layout=models.layout("net"),
        )
        found = examiner.examine(updates, context, state)
        state = found.state
        flagged.append(found.flagged)
        assert found.notes == ()
    share = torch.stack(flagged).double().mean(dim=(0, 2))
    assert share.max() <= 0.01, dict(zip(ALL.split("/"), share.tolist(), strict=True))


@pytest.mark.parametrize(
    ("attack", "seen_by"),
    [
        ("mpaf", ["norm", "duplicate", "fixed-point", "layers"]),
        ("mpaf:scale=1000000", ["norm", "duplicate", "fixed-point", "layers"]),
        ("mpaf-matched", ["duplicate", "fixed-point", "layers"]),
        ("mpaf-spread", ["norm", "fixed-point"]),
        ("mpaf-spread:own_base=false,noise=1", ["norm"]),
        ("random:scale=10", ["norm"]),
        ("poisonedfl", ["duplicate", "layers"]),
    ],
)
def test_who_sees_what(honest, attack, seen_by):
    # Some attacks begin in round 2, and what compares rounds sees them a round later.
    late = {name: flagged[2:] for name, flagged in flags(honest, attack).items()}
    for name in seen_by:
        assert late[name][:, list(FAKES)].all(), name
    for name, flagged in late.items():
        assert flagged[:, list(HONEST)].double().mean() <= 0.02, name


def test_history_sees_mpaf_among_the_uneven(honest):
    """It alone, and from some round on: the first steps of training differ little."""
    last = flags(honest, "mpaf", "history")["history"][-1]
    assert last[list(FAKES)].all()
    assert not last[list(HONEST)].any()
