"""L-BFGS."""

import pytest
import torch

from fedsiege.numerics.lbfgs import hessian_times


def test_the_last_change_is_reproduced() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    steps = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    changes = steps @ (root @ root.T)
    torch.testing.assert_close(hessian_times(steps, changes, steps[-1]), changes[-1])


def test_on_as_many_steps_as_weights_it_is_the_hessian() -> None:
    steps = torch.eye(3, dtype=torch.float64)
    hessian = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    direction = torch.tensor([1.0, -1.0, 2.0])
    found = hessian_times(steps, steps @ hessian, direction)
    torch.testing.assert_close(found, hessian @ direction.double())


def test_updates_curve_downwards() -> None:
    """An update is minus a gradient: all products s.y are negative then."""
    steps = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = hessian_times(steps, -2 * steps, torch.tensor([1.0, 3.0]))
    assert found.tolist() == [-2.0, -6.0]


def test_equal_steps_do_not_fail() -> None:
    steps = torch.ones(2, 4)
    assert hessian_times(steps, steps, steps[0]).tolist() == pytest.approx([1.0] * 4)
