"""Both trainers compute what the optimisers of torch compute, participant by participant."""

import copy
import functools
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedsiege import models
from fedsiege.training.base import Shard, Trainer
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalAdam, LocalOptimiser, LocalSGD

#: Trainers refuse running statistics; without them it trains the same.
BATCH_NORM = functools.partial(nn.BatchNorm2d, track_running_stats=False)
RAGGED = [5, 4, 2, 9, 1]

TRAINERS: dict[str, Callable[[nn.Module, LocalOptimiser], Trainer]] = {
    "loop": LoopTrainer,
    "together": CohortTrainer,
    "two at a time": functools.partial(CohortTrainer, at_a_time=2),
    "alone": functools.partial(CohortTrainer, at_a_time=1),
}

SETTINGS: dict[str, LocalOptimiser] = {
    "plain": LocalSGD(0.05, momentum=0.0, epochs=2, batch_size=4),
    "momentum": LocalSGD(0.05, momentum=0.9, epochs=2, batch_size=4),
    "weight decay": LocalSGD(0.05, momentum=0.0, epochs=2, batch_size=3, weight_decay=0.1),
    "both": LocalSGD(0.02, momentum=0.9, epochs=3, batch_size=2, weight_decay=0.1),
    "long": LocalSGD(0.02, momentum=0.5, epochs=8, batch_size=2, weight_decay=0.1),
    "adam": LocalAdam(0.001, epochs=2, batch_size=4),
    "adam, weight decay": LocalAdam(0.001, epochs=3, batch_size=2, weight_decay=0.1),
}


class Residual(nn.Module):
    """Strides, groups, dilation, 1 by 1 filters, a sum, and functions instead of modules."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, stride=2)
        self.norm = norm(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.point = nn.Conv2d(4, 6, 1)
        self.depth = nn.Conv2d(6, 6, 3, dilation=2, groups=6)
        self.silu = nn.SiLU(inplace=True)
        self.dropout = nn.Dropout(0.0)
        self.hidden = nn.Linear(24, 7, bias=False)
        self.output = nn.Linear(7, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.first(images))
        x = F.relu(self.second(x)) + x
        x = F.avg_pool2d(self.silu(self.point(x)), 2, stride=1)
        x = F.max_pool2d(F.leaky_relu(torch.tanh(self.depth(x)), 0.2), 2, ceil_mode=True)
        x = x.view(x.size(0), -1)
        return self.output(self.dropout(torch.sigmoid(self.hidden(x))))


class Reused(nn.Module):
    """A value that three others use, two of them before it is added up."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(2 * 17 * 17, 6), nn.Linear(6, 6), nn.Linear(6, 10))

    def forward(self, images: Tensor) -> Tensor:
        x = self.a(images.reshape(images.shape[0], -1)).relu()
        return self.c(torch.add(self.b(x).tanh() + x, x))


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "net": (lambda: models.create("net"), (1, 28, 28)),
    "lenet5": (lambda: models.create("lenet5"), (1, 28, 28)),
    "cnn": (lambda: models.create("cnn"), (1, 28, 28)),
    "residual": (lambda: Residual(lambda channels: nn.Identity()), (2, 17, 17)),
    "group norm": (lambda: Residual(lambda channels: nn.GroupNorm(2, channels)), (2, 17, 17)),
    "group norm, no scale": (
        lambda: Residual(lambda channels: nn.GroupNorm(2, channels, affine=False)),
        (2, 17, 17),
    ),
    "reused": (Reused, (2, 17, 17)),
    "tanh mlp": (
        lambda: nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(), a=nn.Linear(578, 20), tanh=nn.Tanh(), b=nn.Linear(20, 10)
            )
        ),
        (2, 17, 17),
    ),
}


@pytest.fixture
def module(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(11)
    return MODULES[request.param][0]()


def train(trainer: Trainer, weights: Tensor, shards: list[Shard], orders: list[Tensor]) -> Tensor:
    return torch.cat([deltas for _, deltas in trainer.train(weights, shards, orders)])


@pytest.mark.parametrize(
    "setting",
    [pytest.param(one, marks=pytest.mark.slow) if one == "long" else one for one in SETTINGS],
)
@pytest.mark.parametrize(
    ("module", "image"),
    [
        pytest.param(name, image, marks=pytest.mark.slow) if name == "cnn" else (name, image)
        for name, (_, image) in MODULES.items()
    ],
    indirect=["module"],
    ids=list(MODULES),
)
def test_deltas_are_those_of_torch_in_float64(module, image, setting, draw, flat, plain):
    optimiser, weights = SETTINGS[setting], flat(module)
    shards, orders = draw(RAGGED, optimiser, image)
    expected = plain(module, optimiser, weights, shards, orders)
    assert expected.abs().amax(1).min() > 1e-3
    for name, build in TRAINERS.items():
        deltas = train(build(module, optimiser), weights, shards, orders)
        assert deltas.dtype == torch.float64
        assert (deltas - expected).abs().max() <= 1e-12, name


@pytest.mark.parametrize("setting", ["momentum", "adam"])
@pytest.mark.parametrize("sizes", [[6, 6, 6], [4, 8]], ids=["one size", "whole batches"])
@pytest.mark.parametrize("name", TRAINERS)
def test_batch_norm_uses_the_statistics_of_the_participants_own_batch(
    name, sizes, setting, draw, flat, plain
):
    module, optimiser = Residual(BATCH_NORM), SETTINGS[setting]
    # The norm takes it off again: its gradient is nothing but rounding, of which Adam makes steps.
    module.first.bias = None
    shards, orders = draw(sizes, optimiser, (2, 17, 17))
    expected = plain(module, optimiser, flat(module), shards, orders)
    deltas = train(TRAINERS[name](module, optimiser), flat(module), shards, orders)
    assert (deltas - expected).abs().max() <= 1e-12


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("model", ["net", "lenet5", "cnn"])
def test_float32_differs_by_rounding_and_near_ties_alone(model, name, draw, flat, plain):
    module, optimiser = models.create(model), LocalSGD(0.01, 0.9, epochs=2, batch_size=4)
    shards, orders = draw([4] * 9, optimiser)
    expected = plain(module, optimiser, flat(module), shards, orders)
    deltas = train(TRAINERS[name](module, optimiser), flat(module).float(), shards, orders)
    assert deltas.dtype == torch.float32
    error = (deltas - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.median() < 1e-4
    # At a near-tie of ReLU or of a maximum, rounding decides which way the gradient goes.
    assert error.max() < 1e-2


@pytest.mark.parametrize("optimiser", [LocalSGD(0.01), LocalAdam(0.01)], ids=["sgd", "adam"])
@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("model", ["net", "lenet5"])
def test_the_same_training_twice_is_bit_identical(model, name, optimiser, draw, flat):
    module = models.create(model)
    shards, orders = draw([4, 4, 7, 2, 4], optimiser, dtype=torch.float32)
    weights = flat(module).float()
    first = train(TRAINERS[name](module, optimiser), weights, shards, orders)
    torch.manual_seed(99)
    assert first.equal(train(TRAINERS[name](module, optimiser), weights, shards, orders))


@pytest.mark.parametrize("setting", ["both", "adam, weight decay"])
@pytest.mark.parametrize("name", TRAINERS)
def test_a_participant_without_samples_has_an_update_of_zeros(name, setting, draw, flat):
    module, optimiser = models.create("net"), SETTINGS[setting]
    shards, orders = draw([0, 3, 0], optimiser)
    deltas = train(TRAINERS[name](module, optimiser), flat(module), shards, orders)
    assert deltas.abs().amax(1).gt(0).tolist() == [False, True, False]
    shards, orders = draw([0, 0], optimiser)
    assert not train(TRAINERS[name](module, optimiser), flat(module), shards, orders).any()


@pytest.mark.parametrize("setting", ["momentum", "adam"])
@pytest.mark.parametrize("name", TRAINERS)
def test_unused_parameters_do_not_change(name, setting, draw, flat):
    module, optimiser = Reused(), SETTINGS[setting]
    module.spare = nn.Linear(3, 3)
    shards, orders = draw([4, 4], optimiser, (2, 17, 17))
    deltas = train(TRAINERS[name](module, optimiser), flat(module), shards, orders)
    assert deltas[:, :-12].any()
    assert not deltas[:, -12:].any()


@pytest.mark.parametrize("name", TRAINERS)
def test_nothing_that_was_handed_in_changes(name, draw, flat):
    module, optimiser = Residual(BATCH_NORM), SETTINGS["both"]
    shards, orders = draw([4, 4], optimiser, (2, 17, 17))
    weights = flat(module)
    handed_in = (module.state_dict(), weights, shards, orders)
    before = copy.deepcopy(handed_in)
    for _, deltas in TRAINERS[name](module, optimiser).train(weights, shards, orders):
        deltas.mul_(2)  # the receiver may do what it likes with its updates
    state, weights, shards, orders = before
    assert all(value.equal(state[key]) for key, value in module.state_dict().items())
    assert weights.equal(handed_in[1])
    for shard, original in zip(handed_in[2], shards, strict=True):
        assert shard.images.equal(original.images)
        assert shard.labels.equal(original.labels)
    assert all(a.equal(b) for a, b in zip(handed_in[3], orders, strict=True))
