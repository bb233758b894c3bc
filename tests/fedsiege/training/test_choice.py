"""Which way of training is taken, and what is said about it."""

import threading
import time

import pytest
import torch
from torch import nn

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.training.choice import choose, resolve_auto
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD
from tests.classifiers import classifiers

BATCH_NORM = nn.BatchNorm2d(1, track_running_stats=False)
SGD = LocalSGD()
#: The models that the engine cannot run, and what it says.
BY_LOOP = {
    "char-lstm": "it is not among the layers that the engine knows",
    "mobilenet-v2": "classifier.0 (Dropout)",
    "resnet18": "BatchNorm2d",
    "resnet20": "BatchNorm2d",
    "vgg11": "BatchNorm2d",
}


@pytest.fixture
def shards(draw):
    return draw([4, 4, 3], SGD)[0]


@pytest.mark.parametrize("of", classifiers(), ids=str)
def test_auto_is_the_engine_for_every_model_that_it_can_run(of, draw):
    module = of.create()
    trainer, reason = choose(module, SGD, draw([4, 4, 3], SGD, of.inputs.shape)[0])
    if of.model in BY_LOOP:
        name, why = resolve_auto(module)
        assert name == "loop"
        assert BY_LOOP[of.model] in why
        assert type(trainer) is LoopTrainer
        assert reason == f"one by one, because {why}"
        return
    assert resolve_auto(module) == ("cohort", "")
    assert type(trainer) is CohortTrainer
    assert reason == trainer.method


def test_auto_depends_neither_on_time_nor_on_the_shards(shards, monkeypatch):
    """A slow engine, one participant or a hundred: the choice follows from the module alone."""
    training_together = CohortTrainer.train

    def slowly(self, *arguments):
        time.sleep(0.05)
        return training_together(self, *arguments)

    monkeypatch.setattr(CohortTrainer, "train", slowly)
    for some in ([], shards[:1], shards, shards * 30):
        assert type(choose(models.create("net"), SGD, some)[0]) is CohortTrainer


@pytest.mark.parametrize(("prefer", "expected"), [("cohort", CohortTrainer), ("loop", LoopTrainer)])
def test_a_preference_is_followed(prefer, expected, shards):
    trainer, reason = choose(models.create("net"), SGD, shards, prefer)
    assert type(trainer) is expected
    assert reason == trainer.method


def test_other_preferences_are_refused(shards):
    with pytest.raises(InvalidValue, match="prefer='fast'"):
        choose(models.create("net"), SGD, shards, "fast")


def test_an_unknown_layer_is_named_and_selects_the_loop(shards):
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.PReLU())
    trainer, reason = choose(module, SGD, shards)
    assert type(trainer) is LoopTrainer
    assert reason.startswith("one by one")
    assert "2 (PReLU)" in reason
    with pytest.raises(InvalidValue, match=r"2 \(PReLU\)"):
        choose(module, SGD, shards, "cohort")


def test_batch_norm_takes_the_loop_whether_its_batches_are_equal_or_not(shards):
    module = nn.Sequential(BATCH_NORM, nn.Flatten(), nn.Linear(784, 10))
    for some in (shards, shards[:2]):
        trainer, reason = choose(module, SGD, some)
        assert type(trainer) is LoopTrainer
        assert "0 (BatchNorm2d)" in reason
    with pytest.raises(InvalidValue, match=r"0 \(BatchNorm2d\).* \(shards of 3 to 4 samples\)"):
        choose(module, SGD, shards, "cohort")
    assert type(choose(module, SGD, shards[:2], "cohort")[0]) is CohortTrainer


def test_the_engine_refuses_unequal_batches_under_batch_norm_before_it_trains(draw):
    module = nn.Sequential(BATCH_NORM, nn.Flatten(), nn.Linear(784, 10))
    shards, orders = draw([4, 3], SGD)
    trainer = CohortTrainer(module, SGD)
    with pytest.raises(InvalidValue, match="BatchNorm2d"):
        trainer.train(torch.zeros(7852), shards, orders)


def test_reading_a_module_does_not_disturb_other_threads_that_run_modules():
    """torch.fx replaces ``nn.Module.__call__`` for the whole process while it reads one."""
    other, given = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), torch.ones(1, 2)
    found = []

    class Meanwhile(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(784, 10)

        def forward(self, images):
            thread = threading.Thread(target=lambda: found.append(other(given)))
            thread.start()
            thread.join()
            return self.layer(images.flatten(1))

    assert resolve_auto(Meanwhile()) == ("cohort", "")
    assert found[0].equal(other(given))


def test_the_method_names_the_block_size(shards):
    trainer, _ = choose(models.create("lenet5"), SGD, shards, "cohort")
    assert trainer.method == f"cohort engine, about {trainer.at_a_time} at a time"


@pytest.mark.parametrize("model", ["net", "lenet5", "cnn"])
def test_fewer_train_together_the_more_each_needs(model, draw):
    sizes = []
    for batch in (1, 8, 64):
        sgd = LocalSGD(batch_size=batch)
        sizes.append(CohortTrainer(models.create(model), sgd).sized_for(draw([64], sgd)[0]))
    sizes = [trainer.at_a_time for trainer in sizes]
    assert sizes == sorted(sizes, reverse=True)
    assert 2 <= sizes[-1] < sizes[0] <= 128
