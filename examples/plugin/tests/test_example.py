"""The components are found by name, and do what they say."""

from pathlib import Path

import numpy as np
import torch

from fedsiege import attacks, datasets, detectors, models, rules
from fedsiege.attacks import Broadcast


def test_the_extreme_values_are_pulled_in() -> None:
    updates = torch.tensor([[0.0], [1.0], [2.0], [3.0], [994.0]])
    rule = rules.create("winsorized-mean", share=0.2)
    assert rule(updates).update.tolist() == [(1 + 1 + 2 + 3 + 3) / 5]
    assert rules.create("winsorized-mean", share=0)(updates).update.tolist() == [1000 / 5]


def test_the_last_step_is_sent_backwards() -> None:
    attack = attacks.parse("undo:scale=2")
    model, before = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 4.0])
    broadcast = Broadcast(2, model, before, architecture="perceptron", seed=0)
    assert attack.craft(broadcast, [0, 5]).tolist() == [[-2.0, 2.0]] * 2
    first = Broadcast(1, model, None, architecture="perceptron", seed=0)
    assert attack.craft(first, [0]).tolist() == [[0.0, 0.0]]


def test_an_update_of_the_other_direction_is_flagged() -> None:
    updates = torch.tensor([[1.0, 1.0], [1.0, 0.9], [0.9, 1.0], [-1.0, -1.0]])
    scores, _ = detectors.create("direction").score(updates)
    assert (scores >= 1).tolist() == [False, False, False, True]


def test_the_model_has_the_width_asked_for() -> None:
    assert models.size("perceptron:hidden=10") == 784 * 10 + 10 + 10 * 10 + 10


def test_the_data_set_is_the_same_every_time() -> None:
    one, other = (datasets.load("spots", Path("unused")) for _ in range(2))
    assert np.array_equal(one.train_samples, other.train_samples)
    assert np.bincount(one.test_labels).tolist() == [50] * 10
    assert datasets.load("spots:noise=0", Path("unused")).train_samples.max() == 255
