import pytest
import torch

from fedsiege.aggregation import FedAvg, GeometricMedian


def pull(updates: torch.Tensor, point: torch.Tensor) -> float:
    """The length of the sum of the unit vectors from a point to the rows: 0 at the optimum."""
    units = torch.nn.functional.normalize(updates.double() - point.double(), dim=1)
    return units.sum(dim=0).norm().item()


def cloud(n: int, d: int, hostile: int = 0, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    updates = 0.01 * torch.randn(n, d, generator=generator)
    updates[:hostile] = scale * torch.randn(1, d, generator=generator)
    return updates


def test_three_corners_of_a_square_pull_to_the_one_in_the_middle() -> None:
    # The angle at (0, 0) is 90 degrees; the point inside sees each pair under 120 degrees.
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    expected = 0.5 - 0.5 / 3**0.5
    update = GeometricMedian()(corners).update
    torch.testing.assert_close(update, torch.full((2,), expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
@pytest.mark.parametrize(("n", "hostile"), [(9, 2), (50, 10), (100, 40)])
def test_the_optimality_condition_holds(n: int, hostile: int, scale: float) -> None:
    updates = cloud(n, 200, hostile, scale)
    assert pull(updates, GeometricMedian()(updates).update) < 1e-3 * n


def test_three_steps_from_0_would_not_have_been_enough() -> None:
    updates = cloud(100, 200, hostile=20, scale=1.0)
    point = torch.zeros(200)
    for _ in range(3):
        weights = 1 / (updates - point).norm(dim=1)
        point = weights @ updates / weights.sum()
    assert pull(updates, point) > 100 * pull(updates, GeometricMedian()(updates).update)


def test_a_row_of_zeros_where_the_search_begins_does_not_hold_it() -> None:
    updates = 1 + cloud(20, 10)
    updates[0] = 0
    update = GeometricMedian()(updates).update
    torch.testing.assert_close(update, torch.ones(10), rtol=0, atol=0.02)


def test_equal_rows_beside_others_do_not_collapse_onto_the_first() -> None:
    updates = torch.tensor([[5.0, 5.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert torch.allclose(GeometricMedian()(updates).update, updates[1], atol=1e-4)


def test_in_one_dimension_it_is_the_median() -> None:
    updates = torch.tensor([[3.0], [-1e5], [2.0], [7.0], [1e6]])
    assert GeometricMedian()(updates).update.item() == pytest.approx(3.0, abs=1e-3)


def test_scores_are_the_distances_to_it() -> None:
    updates = cloud(10, 5)
    result = GeometricMedian()(updates)
    assert result.scores is not None
    expected = (updates - result.update).norm(dim=1).double()
    torch.testing.assert_close(result.scores, expected, rtol=1e-4, atol=0)


def test_fakes_that_carry_the_mean_away_do_not_carry_it() -> None:
    updates = cloud(50, 100, hostile=20, scale=100.0)
    honest = updates[20:].mean(dim=0)
    assert (FedAvg()(updates).update - honest).norm() > 100
    assert (GeometricMedian()(updates).update - honest).norm() < 0.1
