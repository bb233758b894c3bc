"""The share of the two largest singular values."""

import pytest
import torch

from fedsiege.rules.sentinel.spectrum import top_two


def matrix(singular_values: list[float], rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """A matrix with these singular values, and others of 0."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(rows, len(singular_values), generator=generator)).Q
    right = torch.linalg.qr(torch.randn(columns, len(singular_values), generator=generator)).Q
    return left * torch.tensor(singular_values) @ right.T


@pytest.mark.parametrize(("rows", "columns"), [(10, 84), (84, 10), (120, 256), (84, 120)])
def test_it_is_the_share_of_the_squares(rows: int, columns: int) -> None:
    values = [3.0, 2.0, 1.0, 1.0, 0.5]
    several = torch.stack([matrix(values, rows, columns), matrix([1.0], rows, columns)])
    assert top_two(several).tolist() == pytest.approx([13 / 15.25, 1.0], abs=1e-5)


def test_noise_has_little_in_two_directions() -> None:
    noise = torch.randn(1, 120, 256, generator=torch.Generator().manual_seed(0))
    exact = torch.linalg.svdvals(noise[0])[:2].square().sum() / noise.square().sum()
    assert 0.5 * exact < top_two(noise).item() <= exact * 1.0001
    assert exact < 0.1


@pytest.mark.parametrize("scale", [1e-15, 1e-6, 1e15])
def test_its_scale_does_not_matter(scale: float) -> None:
    values = top_two(matrix([2.0, 1.0, 1.0], 40, 30)[None] * scale)
    assert values.item() == pytest.approx(5 / 6, abs=1e-5)


def test_a_matrix_that_does_not_move_is_of_low_rank() -> None:
    assert top_two(torch.zeros(2, 20, 30)).tolist() == [1.0, 1.0]
