"""The mean total-variation distance of the label distributions."""

import numpy as np
import pytest

from fedsiege import partitions
from fedsiege.partitions.heterogeneity import Heterogeneity

LABELS = np.array([0, 0, 0, 1, 1, 2])


def test_the_distance_by_hand() -> None:
    """Whole: 1/2, 1/3, 1/6. First: 1, 0, 0. Second: 1/3, 1/3, 1/3."""
    found = Heterogeneity.of(LABELS, [np.array([0, 1]), np.array([2, 3, 5])], 3, 0)
    assert found.distances.tolist() == pytest.approx([1 / 2, 1 / 6])
    assert found.mean == pytest.approx(1 / 3)
    assert found.counts.tolist() == [[2, 1], [0, 1], [0, 1]]


def test_it_is_zero_for_the_whole_and_grows_with_the_skew() -> None:
    labels = np.random.default_rng(0).integers(0, 10, 6_000)

    def mean(text: str, samples: int = 0) -> Heterogeneity:
        shares = partitions.parse(text).assign(labels, 20, samples, 0)
        return Heterogeneity.of(labels, shares, 10, 0)

    assert Heterogeneity.of(labels, [np.arange(6_000)], 10, 0).mean == 0
    texts = ("iid", "dirichlet:1", "pathological:4", "dirichlet:0.1", "pathological:1")
    means = [mean(text).mean for text in texts]
    assert means == sorted(means)
    assert means[-1] == pytest.approx(0.9, abs=0.01)
    # Four samples of ten classes are far from the whole, however they are drawn.
    few = mean("iid", 4)
    assert few.mean == pytest.approx(few.by_chance, abs=0.05)
    assert few.by_chance > 0.5
