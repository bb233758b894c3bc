import pytest
import torch

from fedsiege.rules import FedAvg, GeometricMedian, geometric_median


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


def with_fakes(benign: torch.Tensor, fakes: int, share: float, spread: float) -> torch.Tensor:
    """Add fakes, all where they pull about as much as all benign ones together.

    Args:
        benign: ``(n, d)``.
        fakes: how many.
        share: how far from 0 they are, of where both pull the same.
        spread: of the fakes, of the benign ones' spread.
    """
    generator = torch.Generator().manual_seed(1)
    way = torch.nn.functional.normalize(torch.randn(benign.shape[1], generator=generator), dim=0)
    near, far = 0.0, 1e6 * float(benign.std())
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if pull(benign, middle * way) < fakes else (near, middle)
    noise = torch.randn(fakes, benign.shape[1], generator=generator)
    return torch.cat([benign, share * near * way + spread * benign.std() * noise])


@pytest.mark.parametrize("fakes", [10, 19, 40])
@pytest.mark.parametrize("share", [0.99, 0.999, 1.0, 1.001, 1.01])
@pytest.mark.parametrize(
    "spread",
    [
        0.0,
        pytest.param(1e-6, marks=pytest.mark.slow),
        1e-4,
        pytest.param(1e-2, marks=pytest.mark.slow),
    ],
)
def test_fakes_in_the_worst_of_places_do_not_keep_it_busy(fakes, share, spread, monkeypatch):
    """Without the ray it took up to 6,000 passes over the matrix, and 10,000 with a spread."""
    passes = 0
    step = geometric_median._step

    def counted(*arguments):
        nonlocal passes
        passes += 1
        return step(*arguments)

    monkeypatch.setattr(geometric_median, "_step", counted)
    updates = with_fakes(cloud(40, 300), fakes, share, spread)
    found = GeometricMedian()(updates)
    assert passes < 300
    point, rows = found.update.double(), updates.double()
    for _ in range(2000):  # on from there, in float64
        weights = 1 / (rows - point).norm(dim=1).clamp(min=1e-15)
        point = weights @ rows / weights.sum()
    least = min(float((rows - one).norm(dim=1).sum()) for one in (point, rows[-1]))
    assert float(found.scores.sum()) <= least * (1 + 2e-6)
