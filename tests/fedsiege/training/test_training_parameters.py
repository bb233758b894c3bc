"""What can be asked of local training, and what is refused."""

import itertools

import pytest
import torch

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD


@pytest.mark.parametrize(
    ("name", "images", "labels"),
    [
        ("images", torch.zeros(2), torch.zeros(2, dtype=torch.int64)),
        ("images", torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        ("labels", torch.zeros(2, 1, 28, 28), torch.zeros(3, dtype=torch.int64)),
        ("labels", torch.zeros(2, 1, 28, 28), torch.zeros(2, 1, dtype=torch.int64)),
        ("labels", torch.zeros(2, 1, 28, 28), torch.zeros(2)),
    ],
)
def test_a_shard_is_images_with_a_label_each(name, images, labels):
    with pytest.raises(InvalidValue) as error:
        Shard(images, labels)
    assert error.value.name == name


def test_batch_order_is_a_permutation_for_each_epoch():
    order = batch_order(1, 2, 3, samples=50, epochs=4)
    assert order.dtype == torch.int64
    assert order.sort(1).values.equal(torch.arange(50).expand(4, 50))
    assert not any(a.equal(b) for a, b in itertools.combinations(order, 2))


def test_batch_order_depends_on_seed_round_and_participant_alone():
    order = batch_order(1, 2, 3, samples=50, epochs=2)
    torch.manual_seed(5)
    assert order.equal(batch_order(1, 2, 3, samples=50, epochs=2))
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 0), (2, 1, 3)):
        assert not order.equal(batch_order(*other, samples=50, epochs=2))


def test_batch_order_of_nothing_is_empty():
    assert batch_order(1, 2, 3, samples=0, epochs=2).shape == (2, 0)


@pytest.fixture(params=[LoopTrainer, CohortTrainer])
def trainer(request):
    return request.param(models.create("net"), LocalSGD(epochs=2))


def test_refusals_come_before_any_training(trainer, draw):
    shards, orders = draw([4, 4], trainer.optimiser)
    weights = torch.zeros(13_106)
    large, _ = draw([4], trainer.optimiser, image=(1, 32, 32))
    for name, arguments in {
        "weights": (weights[:-1], shards, orders),
        "orders": (weights, shards, orders[:1]),
        "orders[1]": (weights, shards, [orders[0], orders[1].repeat(2, 1)]),
        "orders[0]": (weights, shards, [orders[0].int(), orders[1]]),
        "image size of shard 1": (weights, [shards[0], *large], orders),
    }.items():
        with pytest.raises(InvalidValue) as error:
            trainer.train(*arguments)
        assert error.value.name == name


def test_a_frozen_parameter_is_refused():
    module = models.create("net")
    module.conv2.bias.requires_grad_(False)
    for build in (LoopTrainer, CohortTrainer):
        with pytest.raises(InvalidValue, match=r"conv2\.bias='frozen'"):
            build(module, LocalSGD())


def test_no_participants_give_no_blocks(trainer):
    assert list(trainer.train(torch.zeros(13_106), [], [])) == []


@pytest.mark.parametrize("at_a_time", [1, 3, 7, 8, 100])
def test_blocks_cover_all_in_order_and_are_nearly_equal(at_a_time, draw):
    trainer = CohortTrainer(models.create("net"), LocalSGD(), at_a_time)
    shards, orders = draw([2] * 8, trainer.optimiser, dtype=torch.float32)
    blocks = list(trainer.train(torch.zeros(13_106), shards, orders))
    covered = [range(8)[block] for block, _ in blocks]
    assert [index for block in covered for index in block] == list(range(8))
    sizes = [len(block) for block in covered]
    assert max(sizes) <= at_a_time
    assert max(sizes) - min(sizes) <= 1
    assert [deltas.shape for _, deltas in blocks] == [(size, 13_106) for size in sizes]


@pytest.mark.parametrize(("participants", "sizes"), [(50, [50]), (100, [33, 34, 33]), (1, [1])])
def test_default_blocks_are_near_the_size_that_fits(participants, sizes, monkeypatch, draw):
    monkeypatch.setattr(CohortTrainer, "_fitting", lambda *_: 35)
    optimiser = LocalSGD()
    shards, orders = draw([4] * participants, optimiser)
    trainer = CohortTrainer(models.create("net"), optimiser).sized_for(shards)
    blocks = [block for block, _ in trainer.train(models.random_weights("net", 0), shards, orders)]
    assert [block.stop - block.start for block in blocks] == sizes


def test_at_least_one_at_a_time():
    with pytest.raises(InvalidValue, match="at_a_time=0"):
        CohortTrainer(models.create("net"), LocalSGD(), at_a_time=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_the_device_of_the_weights_decides(trainer, draw, flat, plain):
    shards, orders = draw([4, 3], trainer.optimiser)
    weights = flat(trainer.module)
    expected = plain(trainer.module, trainer.optimiser, weights, shards, orders)
    deltas = torch.cat([d for _, d in trainer.train(weights.cuda(), shards, orders)])
    assert deltas.is_cuda
    assert (deltas.cpu() - expected).abs().max() <= 1e-12
