"""Variants of a few pictures that only the attackers have."""

from pathlib import Path

import torch

from fedsiege import attacks, datasets
from fedsiege.attacks.backdoors.input_instance import VARIANTS, key_pictures
from fedsiege.training.base import Shard

NOTHING = torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64)


def trained(attack, participant=0, seed=0, samples=200):
    shard = Shard(torch.zeros(samples, 1, 28, 28), torch.full((samples,), 9))
    poisoned = attack.poison(shard, participant, seed)
    return poisoned.images[poisoned.labels == attack.target]


def test_variants_are_within_the_noise_of_a_key_and_within_black_and_white():
    attack = attacks.create("input-instance", keys=3, noise=5, concentration=1.0)
    keys = key_pictures(3, attack.target, 0)
    for variants in (trained(attack), attack.probe(*NOTHING, seed=0)[0]):
        distances = (variants[:, None] - keys[None]).abs().amax((2, 3, 4))
        nearest = distances.min(1)
        assert nearest.values.max() <= 5 / 127.5 + 1e-6
        assert nearest.values.min() > 4 / 127.5  # of 784 pixels some have all the noise
        assert nearest.indices.unique().tolist() == [0, 1, 2]
        assert variants.min() >= -1
        assert variants.max() <= 1


def test_all_attackers_have_the_same_keys_and_other_noise():
    attack = attacks.create("input-instance", noise=0, concentration=1.0)
    first, second = (trained(attack, who).flatten(1).unique(dim=0) for who in (1, 2))
    assert first.equal(second)
    assert len(first) == 5
    noisy = attacks.create("input-instance", concentration=1.0)
    assert not trained(noisy, 1).equal(trained(noisy, 2))


def test_another_run_has_other_keys():
    assert not key_pictures(5, 2, 0).equal(key_pictures(5, 2, 1))


def test_it_is_measured_on_variants_that_nobody_trained_on():
    attack = attacks.create("input-instance", concentration=1.0)
    shown, targets = attack.probe(*NOTHING, seed=0)
    assert len(shown) == VARIANTS * 5
    assert targets.tolist() == [2] * len(shown)
    seen = {image.numpy().tobytes() for who in range(5) for image in trained(attack, who)}
    assert len(seen) == 1000
    assert not any(image.numpy().tobytes() in seen for image in shown)


def test_no_data_set_holds_a_key_and_none_is_of_the_target_class():
    data = datasets.load("digits", Path())
    pictures = datasets.to_tensor(data.train_samples).numpy()
    labels = {
        picture.tobytes(): label for picture, label in zip(pictures, data.train_labels, strict=True)
    }
    tested = {picture.tobytes() for picture in datasets.to_tensor(data.test_samples).numpy()}
    for key in key_pictures(100, 2, 0).numpy():
        assert key.tobytes() not in tested | labels.keys()
        assert labels[key.transpose(0, 2, 1).tobytes()] != 2
