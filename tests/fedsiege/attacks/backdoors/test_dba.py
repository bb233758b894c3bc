"""The four strips of the distributed backdoor, and their union."""

import itertools

import pytest
import torch

from fedsiege import attacks
from fedsiege.training.base import Shard

#: Row and columns of each strip, from the authors' settings for MNIST.
PATTERNS = [
    [[0, 0], [0, 1], [0, 2], [0, 3]],
    [[0, 6], [0, 7], [0, 8], [0, 9]],
    [[3, 0], [3, 1], [3, 2], [3, 3]],
    [[3, 6], [3, 7], [3, 8], [3, 9]],
]
BLACK = torch.full((1, 1, 28, 28), -1.0)
WHITE = torch.ones(1, 1, 1)


def white(images):
    return (images[0, 0] == 1).nonzero().tolist()


def strip_of(participant):
    """Which strip an attacker has, on its own."""
    return PATTERNS.index(white(attacks.create("dba").stamp_of(participant, BLACK, WHITE)))


@pytest.mark.parametrize(
    ("clients", "first", "every"),
    [(20, 1, 4), (50, 4, 10), (50, 2, 5), (100, 1, 4), (100, 2, 5), (100, 0, 2), (1000, 9, 20)],
)
def test_all_strips_are_trained_however_the_attackers_are_spaced(clients, first, every):
    """They are spaced evenly: by index modulo 4 all of them had one strip, or two."""
    assert {strip_of(participant) for participant in range(first, clients, every)} == {0, 1, 2, 3}


def test_attackers_train_with_their_strip_alone():
    shard = Shard(BLACK.repeat(8, 1, 1, 1), torch.zeros(8, dtype=torch.int64))
    for participant in range(4):
        poisoned = attacks.create("dba", concentration=1.0).poison(shard, participant, seed=0)
        strip = PATTERNS[strip_of(participant)]
        assert all(white(image[None]) == strip for image in poisoned.images)
        assert (poisoned.labels == 2).all()


def test_it_is_measured_on_the_union_that_nobody_trained_on():
    shown, targets = attacks.create("dba").probe(BLACK, torch.tensor([5]), seed=0)
    assert sorted(white(shown)) == sorted(itertools.chain(*PATTERNS))
    assert targets.tolist() == [2]
