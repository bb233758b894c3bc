"""Gradients multiplied number by number, as some attackers train: the same in every trainer."""

import functools
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalAdam, LocalSGD

TRAINERS = {
    "loop": LoopTrainer,
    "together": CohortTrainer,
    "two at a time": functools.partial(CohortTrainer, at_a_time=2),
}
SIZES = [5, 2, 9]


def small():
    """A layer of every kind that learns, filters in groups among them."""
    return nn.Sequential(
        OrderedDict(
            first=nn.Conv2d(2, 4, 3),
            norm=nn.GroupNorm(2, 4),
            relu=nn.ReLU(),
            second=nn.Conv2d(4, 6, 3, groups=2, bias=False),
            flatten=nn.Flatten(),
            hidden=nn.Linear(96, 9, bias=False),
            tanh=nn.Tanh(),
            output=nn.Linear(9, 10),
        )
    )


MODULES = {
    "small": (small, (2, 8, 8)),
    "net": (lambda: models.create("net"), (1, 28, 28)),
    "lenet5": (lambda: models.create("lenet5"), (1, 28, 28)),
}


def train(trainer, *arguments) -> Tensor:
    return torch.cat([deltas for _, deltas in trainer.train(*arguments)])


@pytest.fixture(params=MODULES)
def module(request):
    torch.manual_seed(3)
    built, image = MODULES[request.param]
    return built(), image


@pytest.mark.parametrize(
    "optimiser",
    [
        LocalSGD(0.05, momentum=0.0, epochs=2, batch_size=4),
        LocalSGD(0.02, momentum=0.9, epochs=3, batch_size=2, weight_decay=0.1),
        LocalAdam(0.001, epochs=2, batch_size=4),
        LocalAdam(0.001, epochs=3, batch_size=2, weight_decay=0.1),
    ],
    ids=["plain", "momentum and weight decay", "adam", "adam and weight decay"],
)
def test_every_number_of_the_gradient_of_the_loss_is_multiplied(
    module, optimiser, draw, flat, plain
):
    module, image = module
    weights = flat(module)
    factor = torch.randn(len(weights), dtype=torch.float64)
    shards, orders = draw(SIZES, optimiser, image)
    expected = plain(module, optimiser, weights, shards, orders, factor)
    assert expected.abs().amax(1).min() > 1e-3
    for name, build in TRAINERS.items():
        deltas = train(build(module, optimiser), weights, shards, orders, factor)
        assert (deltas - expected).abs().max() <= 1e-12, name


@pytest.mark.parametrize("optimiser", [LocalSGD(0.05, momentum=0.9), LocalAdam(0.05)], ids=str)
@pytest.mark.parametrize("name", TRAINERS)
def test_without_weight_decay_a_factor_of_zero_keeps_a_weight(name, optimiser, module, draw, flat):
    module, image = module
    shards, orders = draw(SIZES, optimiser, image, dtype=torch.float32)
    weights = flat(module).float()
    factor = (torch.rand(len(weights)) < 0.5).float()
    deltas = train(TRAINERS[name](module, optimiser), weights, shards, orders, factor)
    assert not deltas[:, factor == 0].any()
    assert deltas[:, factor == 1].any(dim=1).all()


@pytest.mark.parametrize("kind", [LocalSGD, LocalAdam])
@pytest.mark.parametrize("name", TRAINERS)
def test_a_factor_of_minus_one_ascends(name, kind, draw, flat):
    optimiser = kind(0.05, epochs=1, batch_size=9)  # a single step for each
    module = small()
    shards, orders = draw(SIZES, optimiser, (2, 8, 8))
    weights = flat(module)
    trainer = TRAINERS[name](module, optimiser)
    down = train(trainer, weights, shards, orders)
    up = train(trainer, weights, shards, orders, -torch.ones(len(weights)))
    torch.testing.assert_close(up, -down, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", TRAINERS)
def test_a_factor_of_one_changes_nothing_and_is_not_changed(name, module, draw, flat):
    module, image = module
    optimiser = LocalSGD(0.05)
    shards, orders = draw(SIZES, optimiser, image)
    weights = flat(module)
    factor = torch.ones(len(weights), dtype=torch.float64)
    trainer = TRAINERS[name](module, optimiser)
    deltas = train(trainer, weights, shards, orders, factor)
    assert (deltas - train(trainer, weights, shards, orders)).abs().max() <= 1e-12
    assert factor.equal(torch.ones_like(factor))


@pytest.mark.parametrize("name", TRAINERS)
def test_a_factor_for_other_weights_is_refused_at_once(name, draw):
    optimiser = LocalSGD()
    shards, orders = draw(SIZES, optimiser)
    with pytest.raises(InvalidValue, match=r"factor=\(13105,\) is not possible: \(13106,\)"):
        TRAINERS[name](models.create("net"), optimiser).train(
            torch.zeros(13_106), shards, orders, torch.ones(13_105)
        )


def test_a_factor_makes_blocks_smaller(draw, monkeypatch):
    """Low rank is over with a factor; a block that was sized for it would take more memory."""
    monkeypatch.setattr("fedsiege.training.cohort.trainer.MEMORY", 20 << 20)
    optimiser = LocalSGD(batch_size=1, epochs=1)
    wide = nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
    shards, orders = draw([1] * 40, optimiser, dtype=torch.float32)
    weights = nn.utils.parameters_to_vector(wide.parameters()).detach()
    trainer = CohortTrainer(wide, optimiser).sized_for(shards)
    together = [len(deltas) for _, deltas in trainer.train(weights, shards, orders)]
    apart = [
        len(deltas)
        for _, deltas in trainer.train(weights, shards, orders, torch.ones(len(weights)))
    ]
    assert together == [40]
    assert max(apart) <= (20 << 20) / (4 * 3 * len(weights)) + 1
