"""The attack success rate, by hand and after real training."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from fedsiege import attacks, datasets, models, partitions
from fedsiege.attacks import Broadcast
from fedsiege.datasets import Dataset
from fedsiege.errors import InvalidValue
from fedsiege.experiment.attack_success import AttackSuccess, measurable
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.evaluation import Evaluator
from fedsiege.training.optimiser import LocalSGD

IMAGES = np.zeros((30, 28, 28), np.uint8)
LABELS = np.arange(30) % 10


def held_out(images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> Dataset:
    """Return a data set with these samples held out."""
    return Dataset("own", images[:0], labels[:0], images, labels)


def always(label: int) -> torch.Tensor:
    """Return weights of ``net`` that give every picture one label."""
    weights = torch.zeros(models.size("net"))
    weights[-10 + label] = 1.0  # the last bias
    return weights


def test_the_share_of_inputs_taken_for_the_target():
    success = AttackSuccess("net", attacks.create("badnets", target=3), held_out(), seed=0)
    assert success(always(3)) == 1.0
    assert success(always(4)) == 0.0


def test_every_input_has_a_target_of_its_own():
    """Label y shall become 9 - y: of a model that always says 4, the fives are a success."""
    success = AttackSuccess("net", attacks.create("label-flip"), held_out(), seed=0)
    assert success(always(4)) == pytest.approx(0.1)


def test_whose_true_label_is_the_target_does_not_count():
    attack = attacks.create("badnets", target=3)
    images, _ = attack.probe(datasets.to_tensor(IMAGES), torch.from_numpy(LABELS), seed=0)
    assert len(images) == 27
    with pytest.raises(InvalidValue, match="held-out inputs that it can be tried on"):
        AttackSuccess("net", attack, held_out(labels=np.full(30, 3)), seed=0)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_an_undefined_answer_is_no_success(broken):
    success = AttackSuccess("net", attacks.create("badnets", target=0), held_out(), seed=0)
    assert success(torch.full((models.size("net"),), broken)) == 0.0


def test_more_inputs_than_one_batch():
    images, labels = np.zeros((250, 28, 28), np.uint8), np.arange(250) % 10
    success = AttackSuccess("net", attacks.create("label-flip"), held_out(images, labels), seed=0)
    assert success(always(0)) == pytest.approx(0.1)


def test_the_weights_stay_as_they_were():
    weights = always(3)
    AttackSuccess("net", attacks.create("badnets"), held_out(), seed=0)(weights)
    assert weights.equal(always(3))


@pytest.mark.parametrize("text", ["mpaf", "label-flip:kind=random"])
def test_an_attack_without_a_target_has_no_success_rate(text):
    attack = attacks.parse(text)
    assert not measurable(attack)
    with pytest.raises(InvalidValue, match="one with a target"):
        AttackSuccess("net", attack, held_out(), seed=0)


@pytest.mark.parametrize("text", ["badnets", "label-flip:kind=pair", "label-flip", "edge-case"])
def test_one_with_a_target_has(text):
    assert measurable(attacks.parse(text))


def test_a_source_class_that_nobody_holds_out_is_refused():
    attack = attacks.parse("label-flip:kind=pair,source=7,target=1")
    with pytest.raises(InvalidValue, match="label-flip needs held-out inputs"):
        AttackSuccess("net", attack, held_out(IMAGES[:7], LABELS[:7]), seed=0)


class Siege:
    """Ten participants train LeNet-5 on the bundled digits; the plain mean aggregates.

    Args:
        without: a class that nobody has.
    """

    def __init__(self, without=None):
        data = datasets.load("digits", Path())
        there = data.train_labels != without
        data = dataclasses.replace(
            data, train_samples=data.train_samples[there], train_labels=data.train_labels[there]
        )
        self.data = data
        self.sgd = LocalSGD(0.02, 0.9, epochs=2, batch_size=16)
        self.trainer = CohortTrainer(models.create("lenet5"), self.sgd)
        self.shards = [
            Shard(datasets.to_tensor(data.train_samples[s]), torch.from_numpy(data.train_labels[s]))
            for s in partitions.parse("iid").assign(data.train_labels, 10, 0, seed=1)
        ]
        # undisturbed for ten rounds
        self.history = [models.random_weights("lenet5", 1)]
        for number in range(1, 11):
            step = self.train(number, range(10), self.shards).mean(0)
            self.history.append(self.history[-1] + step)

    def train(self, number, who, shards, factor=None):
        orders = [
            batch_order(1, number, i, len(s), self.sgd.epochs)
            for i, s in zip(who, shards, strict=True)
        ]
        blocks = self.trainer.train(self.history[-1], shards, orders, factor)
        return torch.cat([deltas for _, deltas in blocks])

    def test(self, weights):
        return Evaluator("lenet5", self.data.test_samples, self.data.test_labels)(weights)

    def lay(self, attack):
        """Return the model after ten more rounds in which the first three attack."""
        undisturbed, hostile = self.history, (0, 1, 2)
        poisoned = [attack.poison(self.shards[i], i, seed=1) for i in hostile]
        for number in range(11, 21):
            heard = Broadcast(number, *self.history[:-3:-1], "lenet5", 1)
            factor = attack.gradient_factor(heard)
            own = self.train(number, hostile, poisoned, factor)
            sent = attack.craft(dataclasses.replace(heard, hostile=hostile, own=own), hostile)
            benign = self.train(number, range(3, 10), self.shards[3:])
            step = torch.cat([sent, benign]).mean(0)
            self.history = [*self.history, self.history[-1] + step]
        result, self.history = self.history[-1], undisturbed
        return result


@pytest.fixture(scope="module")
def siege():
    return Siege()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("badnets:boost=2", marks=pytest.mark.slow),
        pytest.param("neurotoxin:boost=2", marks=pytest.mark.slow),
        pytest.param("input-instance", marks=pytest.mark.slow),
    ],
)
def test_a_backdoor_opens_by_the_mean_and_only_if_somebody_builds_it(text, siege):
    attack = attacks.parse(text)
    success = AttackSuccess("lenet5", attack, siege.data, seed=1)
    assert success(siege.history[-1]) < 0.3
    backdoored = siege.lay(attack)
    assert success(backdoored) > 0.8
    assert siege.test(backdoored).accuracy > 0.8  # nobody notices


@pytest.mark.slow
def test_an_edge_case_is_learned_where_nobody_else_has_any(siege):
    """And not where all honest participants have them, labelled right: the paper's two ends."""
    attack = attacks.create("edge-case")
    success = AttackSuccess("lenet5", attack, siege.data, seed=1)
    assert success(siege.lay(attack)) < 0.1
    rare = Siege(without=attack.source)
    assert success(rare.history[-1]) < 0.3
    assert success(rare.lay(attack)) > 0.9


@pytest.mark.slow
def test_four_strips_that_nobody_trained_together_open_a_backdoor(siege):
    attack = attacks.create("dba")
    success = AttackSuccess("lenet5", attack, siege.data, seed=1)
    assert success(siege.history[-1]) < 0.1
    assert success(siege.lay(attack)) > 0.8
