import numpy as np
import torch

from fedsiege.rules import FedAvg, Meamed
from fedsiege.rules.meamed import mean_around_median
from tests.cases import each


def by_hand(rows: np.ndarray, count: int) -> np.ndarray:
    distance = np.abs(rows - np.median(rows, axis=0))
    nearest = np.argsort(distance, axis=0, kind="stable")[:count]
    return np.take_along_axis(rows, nearest, axis=0).mean(axis=0)


def test_each_coordinate_keeps_the_values_nearest_to_its_median() -> None:
    # Median 2; 1.5 and 3 are nearer than 0. A trimmed mean would keep 1.5, 2, 3 too, but of
    # 2, 2, 3, 4, 9 (second column) it would keep 2, 3, 4.
    updates = torch.tensor([[0.0, 2.0], [1.5, 9.0], [2.0, 3.0], [3.0, 2.0], [90.0, 4.0]])
    expected = torch.tensor([6.5 / 4, 11 / 4])
    torch.testing.assert_close(Meamed(f=1)(updates).update, expected)


@each("count", [2, 5, 11, 12, 20, 21])
@each("n", [21, 22])
def test_any_number_of_values(n: int, count: int) -> None:
    rows = np.random.default_rng(n).standard_normal((n, 500)) ** 3
    found = mean_around_median(torch.from_numpy(rows), count)
    np.testing.assert_allclose(found, by_hand(rows, count), rtol=1e-5, atol=1e-6)


def test_of_equal_distances_the_smaller_value_counts() -> None:
    updates = torch.tensor([[1.0], [3.0], [2.0]])
    assert Meamed(f=1)(updates).update.item() == 1.5


def test_without_hostile_participants_it_is_the_mean() -> None:
    updates = torch.randn(9, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Meamed(f=0)(updates).update, FedAvg()(updates).update)


def test_fakes_that_carry_the_mean_away_do_not_carry_it() -> None:
    updates = torch.randn(10, 40, generator=torch.Generator().manual_seed(0))
    honest = updates[3:].mean(dim=0)
    updates[:3] = 1e4
    assert (FedAvg()(updates).update - honest).norm() > 1000
    assert (Meamed(f=3)(updates).update - honest).norm() < 2
