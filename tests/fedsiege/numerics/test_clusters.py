"""2-means on a line, and the gap statistic."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from fedsiege.numerics.clusters import more_than_one_cluster, two_means


def test_a_split_by_hand() -> None:
    found = two_means(torch.tensor([[0.0, 1.0, 10.0, 11.0, 12.0]]))
    assert found.boundary.item() == 1.0
    assert found.lower.item() == 2
    assert found.gap.item() == pytest.approx(10.5)
    assert found.within.item() == pytest.approx(0.5 + 2.0)
    assert found.total.item() == pytest.approx(134.8)


def test_no_split_found_by_many_starts_is_better() -> None:
    numbers = torch.randn(10, 30, generator=torch.Generator().manual_seed(0)).sort(dim=1).values
    best = [KMeans(2, n_init=10, random_state=0).fit(row[:, None]).inertia_ for row in numbers]
    assert (two_means(numbers).within <= torch.tensor(best) * (1 + 1e-6)).all()


def test_equal_numbers_have_no_gap() -> None:
    found = two_means(torch.full((1, 4), 1e6))
    assert found.gap.item() == 0
    assert found.within.item() == 0


def test_far_from_zero_the_digits_are_kept() -> None:
    near = torch.tensor([[0.0, 0.25, 1.0, 1.25]])
    assert two_means(1e6 + near).within.item() == pytest.approx(two_means(near).within.item())


@pytest.mark.parametrize("seed", range(5))
def test_two_groups_are_told_from_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    one = torch.from_numpy(random.random(50))
    two = torch.cat([one[:35], one[35:] + 3])
    assert not more_than_one_cluster(one, random)
    assert more_than_one_cluster(two, random)


@pytest.mark.parametrize("numbers", [[], [1.0], [1.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
def test_too_few_or_equal_numbers_are_one_cluster(numbers: list[float]) -> None:
    assert not more_than_one_cluster(torch.tensor(numbers), np.random.default_rng(0))
