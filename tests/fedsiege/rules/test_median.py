import numpy as np
import pytest
import torch

from fedsiege.rules import Median


def test_the_middle_value_of_each_coordinate() -> None:
    updates = torch.tensor([[1.0, -5.0], [9.0, 3.0], [2.0, 100.0]])
    assert Median()(updates).update.tolist() == [2.0, 3.0]


def test_an_even_number_averages_the_two_middle_values() -> None:
    updates = torch.tensor([[1.0], [100.0], [2.0], [5.0]])
    assert Median()(updates).update.tolist() == [3.5]


def test_two_huge_middle_values_do_not_overflow() -> None:
    assert Median()(torch.tensor([[3e38], [3e38]])).update.tolist() == [torch.tensor(3e38).item()]


@pytest.mark.parametrize("shape", [(7, 1000), (100, 6001), (3000, 200)])
def test_agrees_with_numpy_over_several_column_blocks(shape: tuple[int, int]) -> None:
    updates = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    expected = np.median(updates.astype(np.float64), axis=0).astype(np.float32)
    assert np.array_equal(Median()(torch.from_numpy(updates)).update.numpy(), expected)
