"""The layers' own tricks; that they compute the right thing, the trainers' tests show."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.cohort import CohortTrainer, convolution, linear
from fedsiege.training.cohort.layer import Block, Stacked, channels_last
from fedsiege.training.cohort.linear import LowRankLinear, StackedLinear, coefficients
from fedsiege.training.optimiser import LocalAdam, LocalSGD
from tests.cases import each


@each("shape", list(itertools.product((1, 2), (1, 3), (1, 4), (1, 5))))
def test_channels_last_has_its_strides_even_where_sizes_are_one(shape):
    _, channels, height, width = shape
    images = torch.randn(shape)
    strides = (height * width * channels, 1, width * channels, channels)
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        laid = channels_last(given)
        assert laid.equal(images)
        assert laid.stride() == strides
    assert channels_last(laid) is laid


def test_one_by_one_filters_see_every_row_as_an_image(monkeypatch):
    seen = []

    def record(images, *arguments):
        seen.append(tuple(images.shape))
        return original(images, *arguments)

    original = F.conv2d
    monkeypatch.setattr(convolution.F, "conv2d", record)
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1, stride=2), nn.Flatten())
    module.append(nn.Linear(18, 4))
    sgd = LocalSGD(epochs=1)
    shards = [Shard(torch.randn(4, 3, 6, 5), torch.zeros(4, dtype=torch.int64))] * 2
    orders = [batch_order(0, 0, 0, 4, 1)] * 2
    list(CohortTrainer(module, sgd, at_a_time=2).train(torch.zeros(90), shards, orders))
    # Two participants of three channels: 4 · 6 rows of 5; the strided filters keep the images.
    assert seen == [(24, 6, 1, 5), (4, 4, 6, 5)]


def test_coefficients_by_hand():
    plain = coefficients(LocalSGD(0.5, momentum=0.0), 2)
    assert plain.tolist() == [[0, 0, 1], [-0.5, 0, 1], [-0.5, -0.5, 1]]
    # v_1 = g_0, v_2 = g_0 / 2 + g_1
    heavy = coefficients(LocalSGD(1.0, momentum=0.5), 2)
    assert heavy.tolist() == [[0, 0, 1], [-1, 0, 1], [-1.5, -1, 1]]
    # w_1 = w_0 / 2 - g_0, w_2 = w_1 / 2 - g_1
    decayed = coefficients(LocalSGD(1.0, momentum=0.0, weight_decay=0.5), 2)
    assert decayed.tolist() == [[0, 0, 1], [-1, 0, 0.5], [-0.5, -1, 0.25]]


def test_coefficients_are_those_of_torch():
    sgd = LocalSGD(0.1, momentum=0.9, weight_decay=0.2)
    gradients = np.random.default_rng(0).normal(size=6)
    weight = nn.Parameter(torch.tensor([0.7], dtype=torch.float64))
    optimiser = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=0.2)
    table = coefficients(sgd, 6)
    for step in range(7):
        assert weight.item() == pytest.approx(table[step] @ [*gradients, 0.7], abs=1e-14)
        if step < 6:
            weight.grad = torch.tensor([gradients[step]])
            optimiser.step()


@pytest.mark.parametrize(
    ("steps", "optimiser", "expected"),
    [
        (2, LocalSGD(), LowRankLinear),
        (20, LocalSGD(), LowRankLinear),
        (100, LocalSGD(), StackedLinear),
        (2, LocalAdam(), StackedLinear),
    ],
)
def test_a_long_training_or_adam_uses_one_matrix_per_participant(steps, optimiser, expected):
    weights = {"weight": torch.zeros(120, 256), "bias": torch.zeros(120)}
    parameters = {"weight": "weight", "bias": "bias"}
    call = linear.Call("fc (Linear)", nn.Linear, nn.Linear(256, 120), (), {}, (0,), parameters)
    block = Block(2, 4, [steps] * 2, optimiser, weights)
    assert type(linear.Linear.begin(call, block)) is expected


@pytest.mark.parametrize("bias", [True, False])
def test_both_linear_ways_agree(bias, monkeypatch):
    module = nn.Sequential(nn.Flatten(), nn.Linear(30, 20, bias), nn.ReLU(), nn.Linear(20, 5, bias))
    sgd = LocalSGD(0.1, 0.9, epochs=2, batch_size=2, weight_decay=0.1)
    sizes = (4, 3, 1)
    shards = [
        Shard(torch.randn(size, 1, 6, 5, dtype=torch.float64), torch.arange(size)) for size in sizes
    ]
    orders = [batch_order(0, 0, i, size, 2) for i, size in enumerate(sizes)]
    weights = torch.randn(sum(p.numel() for p in module.parameters()), dtype=torch.float64)
    trainer = CohortTrainer(module, sgd)
    (_, low_rank), *_ = trainer.train(weights, shards, orders)
    monkeypatch.setattr(linear, "LONGEST_HISTORY", 0)
    (_, stacked), *_ = trainer.train(weights, shards, orders)
    assert not low_rank.equal(stacked)  # or the same way was taken twice
    assert (low_rank - stacked).abs().max() <= 1e-12


def test_participants_that_are_done_keep_their_values():
    sgd = LocalSGD(1.0, momentum=0.5, weight_decay=0.25)
    block = Block(2, 1, [2, 1], sgd, {"it": torch.tensor([4.0])}, active=2)
    parameter = Stacked("it", block)
    parameter.step(torch.tensor([[1.0], [1.0]]))  # 4 - (1 + 4/4)
    assert parameter.values.tolist() == [[2.0], [2.0]]
    block.active = 1
    parameter.step(torch.tensor([[1.0]]))  # 2 - (2/2 + 1 + 2/4)
    delta = torch.empty(2, 1)
    parameter.write(delta)
    assert delta.tolist() == [[-4.5], [-2.0]]


def test_finished_participants_keep_their_moments():
    """Participants that end early leave the others' moments, and their count of steps, alone."""
    steps = torch.tensor([[1.0], [0.25]])
    block = Block(2, 1, [2, 1], LocalAdam(0.5), {"it": torch.tensor([4.0])}, active=2)
    parameter = Stacked("it", block)
    parameter.step(steps)
    block.step, block.active = 1, 1
    parameter.step(steps[:1])  # of the gradient before, so one more of the learning rate
    delta = torch.empty(2, 1)
    parameter.write(delta)
    assert delta.flatten().tolist() == pytest.approx([-1.0, -0.5], abs=1e-6)


@pytest.mark.parametrize(
    ("optimiser", "numbers"),
    [(LocalSGD(momentum=0.0), 2), (LocalSGD(), 3), (LocalAdam(), 4)],
    ids=["plain", "momentum", "adam"],
)
def test_all_that_is_kept_for_a_weight_is_counted(optimiser, numbers):
    block = Block(3, 1, [1] * 3, optimiser, {"it": torch.zeros(5, 7)})
    Stacked("it", block)
    assert block.kept == numbers * 3 * 5 * 7  # value, gradient, and what the optimiser remembers


def test_a_wrong_number_of_features_is_refused_where_it_happens():
    class Wrong(nn.Module):
        def __init__(self):
            super().__init__()
            self.output = nn.Linear(8, 2)

        def forward(self, images):
            return self.output(images.view(-1, 8))

    shards = [Shard(torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.int64))]
    with pytest.raises(InvalidValue, match=r"view \(view\)=8 is not possible: there are 16"):
        CohortTrainer(Wrong(), LocalSGD()).sized_for(shards)


def test_sums_of_unequal_shapes_are_refused():
    class Broadcast(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 2, 1)
            self.output = nn.Linear(32, 2)

        def forward(self, images):
            return self.output((self.one(images) + self.two(images)).flatten(1))

    shards = [Shard(torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.int64))]
    with pytest.raises(InvalidValue, match="both of one shape"):
        CohortTrainer(Broadcast(), LocalSGD()).sized_for(shards)


def test_the_first_convolution_computes_no_gradient_of_the_images(monkeypatch):
    masks = []
    original = torch.ops.aten.convolution_backward

    def record(*arguments):
        masks.append(arguments[-1][0])
        return original(*arguments)

    monkeypatch.setattr(torch.ops.aten, "convolution_backward", record)
    shards = [Shard(torch.randn(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64))]
    trainer = CohortTrainer(models.create("net"), LocalSGD(epochs=1))
    list(trainer.train(torch.zeros(13_106), shards, [torch.tensor([[0, 1]])]))
    assert masks == [True, False]
