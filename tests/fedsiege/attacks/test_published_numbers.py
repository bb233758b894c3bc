"""Defaults that are the papers' or the authors' code's: another one is another attack."""

import pytest

from fedsiege import attacks
from fedsiege.attacks.compromised import fang_krum
from fedsiege.attacks.fake import poisonedfl

DEFAULTS = {
    "fang-trimmed-mean": {"b": 2.0},
    "ipm": {"eps": 2.0},
    "min-max": {"perturbation": "std"},
    "min-sum": {"perturbation": "std"},
    "poisonedfl": {"c": 8.0},
    "poisonedfl-noise": {"c": 8.0, "noise": 1.2},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_numbers_are_the_published_ones(name):
    attack = attacks.create(name)
    assert {key: getattr(attack, key) for key in DEFAULTS[name]} == DEFAULTS[name]


def test_constants_are_the_published_ones():
    assert poisonedfl.PERIOD == 50
    assert fang_krum.LEAST == 1e-5
