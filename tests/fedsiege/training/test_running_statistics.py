"""Running statistics follow as in torch, for each participant by itself."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedsiege import datasets, models, seeding
from fedsiege.errors import InvalidValue
from fedsiege.models.state import tensors
from fedsiege.training.base import batch_sizes
from fedsiege.training.classifier import train_classifier
from fedsiege.training.hosted import LocalTraining
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD
from tests.classifiers import register

SGD = LocalSGD(learning_rate=0.05, momentum=0.9, epochs=2, batch_size=4)
NOWHERE = Path("nowhere")


def convolutional(momentum: float | None = 0.1) -> nn.Module:
    """Return a network with two layers of batch normalisation, before and behind a convolution."""
    return nn.Sequential(
        nn.BatchNorm2d(1, momentum=momentum),
        nn.Conv2d(1, 3, 3, stride=2),
        nn.BatchNorm2d(3, momentum=momentum),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3 * 13 * 13, 10),
    )


def of_rows() -> nn.Module:
    """Return a network whose batch normalisation sees a single value of each sample."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.BatchNorm1d(6), nn.Linear(6, 10))


MODULES = {
    "convolutional": convolutional,
    "average of all batches": lambda: convolutional(momentum=None),
    "rows": of_rows,
}


def state(module: nn.Module) -> Tensor:
    """Return parameters and floating-point buffers as a flat vector, of the type they have."""
    return torch.cat([value.detach().flatten() for _, value in tensors(module)])


def by_torch(module, shard, order, sizes, learning_rate=0.05) -> Tensor:
    """Return the state after the steps of torch's own SGD."""
    model = copy.deepcopy(module).train()
    sgd = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    for epoch in order:
        for batch in epoch.split(sizes):
            sgd.zero_grad()
            F.cross_entropy(model(shard.images[batch]), shard.labels[batch]).backward()
            sgd.step()
    return state(model)


def updates(module, shards, orders, sgd=SGD) -> Tensor:
    blocks = LoopTrainer(module, sgd).train(state(module), shards, orders)
    return torch.cat([rows for _, rows in blocks])


@pytest.fixture(params=MODULES)
def module(request) -> nn.Module:
    """Return a network in float64 that has seen some batches, so that no statistic is a default."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = MODULES[request.param]().double()
        for _ in range(3):
            made(2 * torch.randn(8, 1, 28, 28, dtype=torch.float64) + 1)
    for layer in made.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.num_batches_tracked.zero_()  # as every participant begins
    return made


def test_the_update_of_the_buffers_is_what_torch_makes_of_them(module, draw):
    shards, orders = draw([8, 6, 4], SGD)
    before = state(module)
    p = sum(parameter.numel() for parameter in module.parameters())
    found = updates(module, shards, orders)
    for row, shard, order in zip(found, shards, orders, strict=True):
        expected = by_torch(module, shard, order, SGD.batch_size) - before
        # In another memory format a convolution rounds differently, in the last bits.
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-13)
        assert (row[p:] != 0).all()
    if not any(isinstance(layer, nn.Conv2d) for layer in module.modules()):
        expected = [by_torch(module, s, o, 4) - before for s, o in zip(shards, orders, strict=True)]
        assert torch.equal(found, torch.stack(expected))
        return
    # The first layer sees the samples themselves: its statistics agree to the last bit.
    for row, shard, order in zip(found, shards, orders, strict=True):
        expected = by_torch(module, shard, order, SGD.batch_size) - before
        assert torch.equal(row[p : p + 2], expected[p : p + 2])


def test_participants_do_not_influence_each_other_nor_the_module(module, draw):
    shards, orders = draw([8, 6, 4], SGD)
    before = copy.deepcopy(module.state_dict())
    together = updates(module, shards, orders)
    for index in (2, 1, 0):
        alone = updates(module, shards[index : index + 1], orders[index : index + 1])
        assert torch.equal(together[index : index + 1], alone)
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_the_number_of_batches_is_neither_sent_nor_begun_with(module, draw):
    """With momentum=None torch divides by it: it must begin at 0 with each participant."""
    shards, orders = draw([8, 8], SGD)
    assert not any("num_batches_tracked" in name for name, _ in tensors(module))
    fresh = updates(module, shards, orders)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            assert layer.num_batches_tracked == 0
    assert torch.equal(updates(module, shards[1:], orders[1:])[0], fresh[1])


def test_the_last_batch_of_an_epoch_is_joined_where_it_would_be_too_small():
    cases = {
        (8, 4, 2): [4, 4],
        (9, 4, 2): [4, 5],
        (9, 4, 1): [4, 4, 1],
        (10, 4, 2): [4, 4, 2],
        (1, 4, 2): [1],
        (1, 4, 1): [1],
        (3, 4, 2): [3],
        (0, 4, 2): [],
        (3, 1, 1): [1, 1, 1],
        (3, 2, 2): [3],
    }
    for given, sizes in cases.items():
        assert batch_sizes(*given) == sizes, given


@pytest.mark.parametrize("samples", [5, 9])
def test_a_last_batch_of_one_is_joined_where_torch_cannot_train_with_it(samples, draw):
    [shard], [order] = draw([samples], SGD)
    rows = of_rows().double()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        by_torch(rows, shard, order, SGD.batch_size)
    expected = by_torch(rows, shard, order, [4] * (samples // 4 - 1) + [5]) - state(rows)
    assert torch.equal(updates(rows, [shard], [order])[0], expected)
    pictures = convolutional().double()
    expected = by_torch(pictures, shard, order, SGD.batch_size) - state(pictures)
    torch.testing.assert_close(updates(pictures, [shard], [order])[0], expected, atol=1e-13, rtol=0)


def test_a_participant_of_one_sample_trains_by_the_statistics_of_the_global_model(draw):
    shards, orders = draw([1, 5], SGD)
    rows = of_rows().double()
    p = sum(parameter.numel() for parameter in rows.parameters())
    with torch.no_grad():
        rows[2].running_mean.add_(0.3)
        rows[2].running_var.mul_(1.7)
    found = updates(rows, shards, orders)
    assert (found[0, p:] == 0).all(), "it does not change them"
    model = copy.deepcopy(rows)
    model[2].eval()
    sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(2):
        sgd.zero_grad()
        F.cross_entropy(model(shards[0].images), shards[0].labels).backward()
        sgd.step()
    assert torch.equal(found[0], state(model) - state(rows))
    assert (updates(rows, shards[1:], orders[1:])[0] == found[1]).all(), "the next trains as usual"
    assert (found[1, p:] != 0).all()


class Counting(nn.Module):
    """Writes down the size of each batch that it is trained with."""

    sizes: list[int] = []  # noqa: RUF012 - of all copies

    def forward(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.sizes.append(len(images))
        return images


@pytest.mark.parametrize("samples", [1, 3, 4, 5, 9, 10])
@pytest.mark.parametrize("make", [of_rows, convolutional])
def test_the_number_of_steps_that_is_reported_is_the_number_made(samples, make, monkeypatch):
    name = register(monkeypatch, lambda inputs: nn.Sequential(Counting(), make()))
    training = LocalTraining(name, "digits", NOWHERE, "sample", samples, 3, 0, SGD)
    training.prepare([1], "loop")
    monkeypatch.setattr(Counting, "sizes", [])
    list(training.updates(1, models.random_weights(name, 0), [1]))
    assert sum(Counting.sizes) == SGD.epochs * samples
    assert training.steps(1, 1) == len(Counting.sizes)
    assert min(Counting.sizes) > 1 or samples == 1 or make is convolutional


def test_batches_of_one_are_refused_where_torch_cannot_train_with_them(monkeypatch):
    name = register(monkeypatch, lambda inputs: of_rows())
    one = replace(SGD, batch_size=1)
    with pytest.raises(InvalidValue, match=f"2 or more with the batch normalisation of {name}"):
        LocalTraining(name, "digits", NOWHERE, "sample", 4, 3, 0, one)
    data = datasets.load("digits", NOWHERE)
    recipe = {"epochs": 1, "learning_rate": 0.01, "momentum": 0.9, "seed": 0}
    with pytest.raises(InvalidValue, match="batch=1 is not possible: 2 or more"):
        train_classifier(name, data, batch_size=1, **recipe)


def test_a_base_model_is_trained_as_by_torch_with_its_last_batch_of_one_joined(monkeypatch):
    name = register(monkeypatch, lambda inputs: of_rows())
    data = datasets.load("digits", NOWHERE)
    assert len(data.train_labels) % 131 == 1
    weights, score = train_classifier(
        name, data, epochs=1, learning_rate=0.05, momentum=0.9, batch_size=131, seed=4
    )
    module = models.create(name)
    models.unflatten_into(module, models.random_weights(name, 4))
    order = seeding.generator(4, "classifier order", 1).permutation(len(data.train_labels))
    sgd = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    for batch in np.split(order, range(131, 1311, 131)):
        sgd.zero_grad()
        images, labels = data.tensor(data.train_samples[batch]), data.train_labels[batch]
        F.cross_entropy(module(images), torch.from_numpy(labels)).backward()
        sgd.step()
    torch.testing.assert_close(weights, models.flatten(module), rtol=1e-5, atol=1e-6)
    module.eval()
    right = module(data.tensor(data.test_samples)).argmax(1).numpy() == data.test_labels
    assert score.accuracy == pytest.approx(right.mean(), abs=0.01)
