import numpy as np
import pytest
import torch

from fedsiege.rules import FedAvg, TrimmedMean


def test_trims_each_coordinate_by_itself() -> None:
    updates = torch.tensor([[-90.0, 1.0], [1.0, 90.0], [2.0, 2.0], [4.0, -90.0], [90.0, 5.0]])
    # Left after f = 1: 1, 2, 4 and 1, 2, 5. Trimming whole participants could not give both.
    assert torch.allclose(TrimmedMean(f=1)(updates).update, torch.tensor([7 / 3, 8 / 3]))


def test_f_smallest_and_f_largest_go() -> None:
    updates = torch.tensor([[8.0], [1.0], [50.0], [2.0], [40.0], [4.0], [-9.0]])
    assert TrimmedMean(f=2)(updates).update.item() == pytest.approx(14 / 3)
    assert TrimmedMean(f=3)(updates).update.item() == 4.0


def test_nothing_to_trim_is_the_mean_and_not_zero() -> None:
    updates = torch.tensor([[1.0], [2.0], [6.0], [7.0]])  # floor(0.2 * 4) = 0
    assert TrimmedMean()(updates).update.item() == 4.0
    assert torch.equal(TrimmedMean(f=0)(updates).update, FedAvg()(updates).update)


def test_agrees_with_sorted_float64_over_several_column_blocks() -> None:
    updates = np.random.default_rng(0).standard_normal((100, 6001), dtype=np.float32)
    expected = np.sort(updates.astype(np.float64), axis=0)[20:80].mean(axis=0)
    update = TrimmedMean()(torch.from_numpy(updates)).update.numpy()
    np.testing.assert_allclose(update, expected, rtol=1e-6, atol=1e-9)
