import pytest
import torch

from fedsiege import attacks
from fedsiege.errors import InvalidValue
from fedsiege.training.base import Shard


def shard_of(labels):
    return Shard(torch.zeros(len(labels), 1, 28, 28), torch.tensor(labels))


def flip(labels, participant=0, seed=0, **parameters):
    attack = attacks.create("label-flip", **parameters)
    return attack.poison(shard_of(labels), participant, seed).labels.tolist()


def test_the_complement_is_nine_minus_the_label():
    """And every class comes up: (y + 1) % 9, as published, gives no 9 and a 0 and 1 twice."""
    assert flip(range(10)) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_a_pair_leaves_the_other_classes_alone():
    assert flip([7, 1, 7, 0, 9], kind="pair") == [1, 1, 1, 0, 9]
    assert flip([7, 1, 7, 0, 9], kind="pair", source=9, target=4) == [7, 1, 7, 0, 4]


@pytest.mark.parametrize("kind", ["complement", "random"])
@pytest.mark.parametrize("parameter", ["source", "target"])
def test_what_has_no_effect_is_refused(kind, parameter):
    with pytest.raises(InvalidValue, match=f"label-flip:{parameter}=5 .* with kind={kind}"):
        attacks.create("label-flip", kind=kind, **{parameter: 5})
    attacks.create("label-flip", kind="pair", **{parameter: 5})


def test_the_concentration_of_a_pair_is_that_of_the_source_class():
    labels = [7] * 10 + [3] * 30
    flipped = flip(labels, kind="pair", concentration=0.3)
    assert flipped[10:] == labels[10:]
    assert flipped.count(1) == 3


@pytest.mark.parametrize("kind", ["complement", "random"])
@pytest.mark.parametrize(("concentration", "expected"), [(0.1, 10), (0.8, 80), (1.0, 100)])
def test_so_many_labels_change_and_no_more(kind, concentration, expected):
    labels = [k % 10 for k in range(100)]
    flipped = flip(labels, kind=kind, concentration=concentration)
    assert sum(a != b for a, b in zip(labels, flipped, strict=True)) == expected


def test_random_gives_each_of_the_other_classes_as_often():
    flipped = torch.tensor(flip([4] * 9000, kind="random"))
    counts = flipped.bincount(minlength=10)
    assert counts[4] == 0
    expected = torch.full((9,), 1000.0)
    others = counts[torch.arange(10) != 4]
    chi_squared = ((others - expected) ** 2 / expected).sum()
    assert chi_squared < 26.1  # the 99.9 % quantile with 8 degrees of freedom


def test_what_random_makes_of_a_label_does_not_depend_on_the_concentration():
    labels = [k % 10 for k in range(50)]
    some = flip(labels, kind="random", concentration=0.3)
    everything = flip(labels, kind="random", concentration=1.0)
    changed = [k for k in range(50) if some[k] != labels[k]]
    assert len(changed) == 15
    assert all(some[k] == everything[k] for k in changed)


def test_the_images_are_the_same():
    shard = shard_of(range(10))
    assert attacks.create("label-flip").poison(shard, 0, 0).images.equal(shard.images)


def test_the_probe_of_a_pair_is_the_source_class_as_it_is():
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 28, 28)
    attack = attacks.create("label-flip", kind="pair")
    shown, targets = attack.probe(images, torch.tensor([7, 1, 7, 0]), seed=0)
    assert shown[:, 0, 0, 0].tolist() == [0.0, 2.0]
    assert targets.tolist() == [1, 1]


def test_the_probe_of_the_complement_is_everything():
    attack = attacks.create("label-flip")
    shown, targets = attack.probe(torch.zeros(3, 1, 28, 28), torch.tensor([7, 1, 9]), seed=0)
    assert len(shown) == 3
    assert targets.tolist() == [2, 8, 0]


def test_random_labels_have_no_target():
    attack = attacks.create("label-flip", kind="random")
    assert not attack.targeted
    shown, targets = attack.probe(torch.zeros(3, 1, 28, 28), torch.tensor([7, 1, 9]), seed=0)
    assert len(shown) == len(targets) == 0
