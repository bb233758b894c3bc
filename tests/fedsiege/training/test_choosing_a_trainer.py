"""Which way of training is taken, and what is said about it."""

import pytest
import torch
from torch import nn

from fedsiege import models, training
from fedsiege.cohort import CohortTrainer
from fedsiege.errors import InvalidValue
from fedsiege.optimiser import LocalSGD
from fedsiege.training import LoopTrainer, choose

BATCH_NORM = nn.BatchNorm2d(1, track_running_stats=False)
SGD = LocalSGD()


@pytest.fixture
def shards(draw):
    return draw([4, 4, 3], SGD)[0]


@pytest.fixture
def measured(monkeypatch):
    """Let the measurement come out with the loop so many times as fast as the engine."""

    def set_outcome(times: float) -> None:
        monkeypatch.setattr(
            training,
            "_measure",
            lambda trainers, shards: {
                trainer: 1.0 if isinstance(trainer, LoopTrainer) else times for trainer in trainers
            },
        )

    return set_outcome


@pytest.mark.parametrize(
    ("times", "expected", "said"),
    [
        (0.2, CohortTrainer, "5.0 times as fast"),
        (1.4, CohortTrainer, "0.7 times as fast"),
        (1.6, LoopTrainer, "0.6 times as fast"),
    ],
)
def test_the_engine_is_taken_unless_the_loop_is_clearly_faster(
    times, expected, said, shards, measured
):
    measured(times)
    trainer, reason = choose(models.create("net"), SGD, shards)
    assert type(trainer) is expected
    assert reason.startswith(trainer.method)
    assert said in reason


def test_the_measurement_runs_and_the_choice_is_said(shards):
    trainer, reason = choose(models.create("net"), SGD, shards)
    assert reason.startswith(trainer.method)
    assert "times as fast as one by one" in reason


@pytest.mark.parametrize(("prefer", "expected"), [("cohort", CohortTrainer), ("loop", LoopTrainer)])
def test_a_preference_is_followed(prefer, expected, shards, measured):
    measured(1 / 10 if prefer == "loop" else 10)
    trainer, reason = choose(models.create("net"), SGD, shards, prefer)
    assert type(trainer) is expected
    assert reason == f"{trainer.method}, as asked"


def test_other_preferences_are_refused(shards):
    with pytest.raises(InvalidValue, match="prefer='fast'"):
        choose(models.create("net"), SGD, shards, "fast")


def test_a_layer_without_a_rule_is_named_and_takes_the_whole_model_to_the_loop(shards):
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.PReLU())
    trainer, reason = choose(module, SGD, shards)
    assert type(trainer) is LoopTrainer
    assert reason.startswith("one by one")
    assert "2 (PReLU)" in reason
    with pytest.raises(InvalidValue, match=r"2 \(PReLU\)"):
        choose(module, SGD, shards, "cohort")


def test_unequal_batches_take_batch_norm_to_the_loop(shards):
    module = nn.Sequential(BATCH_NORM, nn.Flatten(), nn.Linear(784, 10))
    trainer, reason = choose(module, SGD, shards)
    assert type(trainer) is LoopTrainer
    assert "0 (BatchNorm2d)" in reason
    assert "3 to 4 samples" in reason
    with pytest.raises(InvalidValue, match="BatchNorm2d"):
        choose(module, SGD, shards, "cohort")


def test_the_engine_refuses_unequal_batches_under_batch_norm_before_it_trains(draw):
    module = nn.Sequential(BATCH_NORM, nn.Flatten(), nn.Linear(784, 10))
    shards, orders = draw([4, 3], SGD)
    trainer = CohortTrainer(module, SGD)
    with pytest.raises(InvalidValue, match="BatchNorm2d"):
        trainer.train(torch.zeros(7852), shards, orders)


def test_a_single_participant_trains_alone(shards):
    trainer, reason = choose(models.create("net"), SGD, shards[:1])
    assert type(trainer) is LoopTrainer
    assert "nobody" in reason


def test_the_method_tells_how_many_train_together(shards):
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
