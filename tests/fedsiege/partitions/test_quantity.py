"""Shares of unequal size."""

import numpy as np
import pytest

from fedsiege import partitions
from fedsiege.errors import InvalidValue

LABELS = np.random.default_rng(0).integers(0, 10, 6_000)


def sizes(alpha: float, samples: int = 0, participants: int = 50) -> np.ndarray:
    shares = partitions.parse(f"quantity:{alpha}").assign(LABELS, participants, samples, 1)
    return np.array([len(share) for share in shares])


def test_a_smaller_alpha_makes_the_sizes_more_unequal() -> None:
    spreads = [sizes(alpha).std() for alpha in (0.1, 1, 100)]
    assert spreads[0] > 1.5 * spreads[1] > 3 * spreads[2]
    assert sizes(0.001).max() > 5_000
    assert sizes(0.001).min() == 1


def test_samples_is_the_mean() -> None:
    assert sizes(0.5, samples=30).sum() == 50 * 30


def test_labels_are_those_of_the_whole() -> None:
    largest = max(partitions.parse("quantity:0.1").assign(LABELS, 10, 0, 0), key=len)
    assert np.bincount(LABELS[largest]) / len(largest) == pytest.approx([0.1] * 10, abs=0.03)


def test_as_many_participants_as_samples_get_one_each() -> None:
    assert set(sizes(0.1, participants=6_000)) == {1}
    with pytest.raises(InvalidValue, match="6,001 samples"):
        sizes(0.1, participants=6_001)
