"""Cosine similarities."""

import torch

from fedsiege.numerics.cosines import cosines, products_with


def test_parallel_rows_have_a_cosine_of_exactly_one_at_any_scale() -> None:
    row = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    found = cosines(torch.stack([row, 1e30 * row, -1e-20 * row]))
    assert found.tolist() == [[1, 1, -1], [1, 1, -1], [-1, -1, 1]]


def test_cosines_agree_with_float64() -> None:
    updates = torch.randn(20, 5000, generator=torch.Generator().manual_seed(0))
    updates[3] *= 1e6
    units = torch.nn.functional.normalize(updates.double())
    torch.testing.assert_close(cosines(updates), units @ units.T, rtol=0, atol=1e-6)


def test_a_row_of_zeros_is_at_right_angles_to_all() -> None:
    assert cosines(torch.tensor([[0.0, 0.0], [1.0, 1.0]])).tolist() == [[1, 0], [0, 1]]


def test_products_do_not_overflow() -> None:
    largest = torch.full((1, 10_000), torch.finfo(torch.float32).max)
    assert products_with(largest, largest[0]).isfinite().all()
    assert products_with(torch.tensor([[1.0, 2.0]]), torch.tensor([3.0, -1.0])).tolist() == [1.0]
