import pytest
import torch

from fedsiege import attacks
from fedsiege.training.base import Shard

WHITE = torch.ones(1, 1, 1)


@pytest.mark.parametrize(("size", "first"), [(1, 26), (4, 23), (26, 1)])
def test_the_square_is_white_and_one_pixel_off_the_lower_right_corner(size, first):
    black = torch.full((3, 1, 28, 28), -1.0)
    stamped = attacks.create("badnets", size=size).stamp(black, WHITE)
    expected = black.clone()
    for row in range(first, 27):
        expected[:, :, row, first:27] = 1.0
    assert stamped.equal(expected)
    assert (stamped == 1).sum() == 3 * size**2


def test_what_is_stamped_is_labelled_as_the_target_and_nothing_else_is():
    shard = Shard(torch.zeros(20, 1, 28, 28), torch.arange(20) % 10)
    attack = attacks.create("badnets", target=6, concentration=0.4)
    poisoned = attack.poison(shard, 1, seed=2)
    stamped = poisoned.images[:, 0, 25, 25] == 1
    assert stamped.sum() == 8
    assert poisoned.images[stamped].equal(attack.stamp(shard.images[stamped], WHITE))
    assert (poisoned.labels[stamped] == 6).all()
    assert poisoned.images[~stamped].equal(shard.images[~stamped])
    assert poisoned.labels[~stamped].equal(shard.labels[~stamped])


def test_the_probe_is_every_other_class_stamped():
    images = torch.linspace(-1, 0, 4).view(4, 1, 1, 1).expand(4, 1, 28, 28)
    attack = attacks.create("badnets", target=3)
    shown, targets = attack.probe(images, torch.tensor([3, 5, 3, 0]), seed=0)
    assert shown.equal(attack.stamp(images[[1, 3]], WHITE))
    assert targets.tolist() == [3, 3]
