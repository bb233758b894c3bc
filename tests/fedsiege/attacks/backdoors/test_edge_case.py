"""Edge cases: whose they are, who trains on them, and what is kept for the test."""

from pathlib import Path

import pytest
import torch

from fedsiege import attacks, datasets
from fedsiege.attacks.backdoors.edge_case import edge_cases
from fedsiege.training.base import Shard

NOTHING = torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64)


def black(samples):
    return Shard(torch.full((samples, 1, 28, 28), -1.0), torch.full((samples,), 4))


def pictures(images):
    return {image.numpy().tobytes() for image in images}


@pytest.mark.parametrize("source", [7, 3])
def test_they_are_the_bundled_digits_of_the_source_class(source):
    data = datasets.load("digits", Path())
    train, held_out = edge_cases(source)
    for cases, images, labels in (
        (train, data.train_samples, data.train_labels),
        (held_out, data.test_samples, data.test_labels),
    ):
        assert len(cases) == (labels == source).sum() > 30
        assert pictures(cases) == pictures(datasets.to_tensor(images[labels == source]))


def test_they_take_the_places_of_the_poisoned_samples_labelled_as_the_target():
    poisoned = attacks.create("edge-case", concentration=0.25).poison(black(40), 0, seed=0)
    replaced = (poisoned.images != -1).flatten(1).any(1)
    assert replaced.sum() == 10
    assert pictures(poisoned.images[replaced]) <= pictures(edge_cases(7)[0])
    assert (poisoned.labels[replaced] == 1).all()
    assert (poisoned.labels[~replaced] == 4).all()


def test_every_attacker_draws_its_own_and_none_twice_before_all_were_drawn():
    attack, (train, _) = attacks.create("edge-case", concentration=1.0), edge_cases(7)
    first, second = (attack.poison(black(50), who, seed=0).images for who in (1, 2))
    assert len(pictures(first)) == len(pictures(second)) == 50
    assert pictures(first) != pictures(second)
    many = attack.poison(black(len(train) + 20), 1, seed=0).images
    assert pictures(many[: len(train) + 20]) == pictures(train)


def test_it_is_measured_on_edge_cases_that_nobody_trains_on():
    attack = attacks.create("edge-case", concentration=1.0)
    shown, targets = attack.probe(*NOTHING, seed=0)
    assert torch.equal(shown, edge_cases(7)[1])
    assert targets.tolist() == [1] * len(shown)
    trained = set().union(*(pictures(attack.poison(black(144), i, 0).images) for i in range(5)))
    assert not pictures(shown) & trained
