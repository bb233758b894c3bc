"""mda and smea, which choose a subset of rows, and caf, which weighs by the same covariance."""

from itertools import combinations

import numpy as np
import pytest
import torch

from fedsiege.errors import UnfitRound
from fedsiege.numerics.covariance import CenteredProducts
from fedsiege.numerics.distances import squared_distances
from fedsiege.rules import CAF, MDA, SMEA, FedAvg, Rule
from tests.cases import each


def rows(n: int, d: int, seed: int, hostile: int = 0, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    updates = torch.randn(n, d, generator=generator)
    updates[:hostile] *= scale
    return updates


def diameter(kept: np.ndarray) -> tuple[float, float]:
    squares = np.square(kept[:, None] - kept).sum(axis=2)
    return round(squares.max(), 4), squares.sum()


def variance(kept: np.ndarray) -> float:
    return float(np.linalg.svd(kept - kept.mean(axis=0), compute_uv=False)[0] ** 2 / len(kept))


SIZES = [(1, 0), (4, 1), (5, 2), (9, 2), (10, 4), (16, 2)]


@each("scale", [1.0, 1e4])
@each(("n", "f"), SIZES)
@each(("rule", "key"), [(MDA, diameter), (SMEA, variance)])
def test_the_best_of_all_subsets_is_found(rule, key, n: int, f: int, scale: float) -> None:
    updates = rows(n, 30, seed=n, hostile=f, scale=scale)
    exact = updates.double().numpy()
    best = min(combinations(range(n), n - f), key=lambda kept: key(exact[list(kept)]))
    result = rule(f=f)(updates)
    assert result.accepted.nonzero().flatten().tolist() == list(best)
    torch.testing.assert_close(result.update, updates[list(best)].mean(dim=0))


def test_mda_by_hand() -> None:
    updates = torch.tensor([[0.0], [1.0], [2.0], [4.0], [9.0]])
    result = MDA(f=2)(updates)
    assert result.accepted.tolist() == [True, True, True, False, False]
    assert result.update.item() == 1.0


@pytest.mark.parametrize(("middle", "gone"), [(3.5, 4), (4.5, 0)])
def test_of_equal_diameters_the_closer_subset_is_taken(middle: float, gone: int) -> None:
    # Without 0 as without 8 the diameter is 5; what lies in the middle lies nearer to one of them.
    updates = torch.tensor([[0.0], [3.0], [middle], [5.0], [8.0]])
    assert (~MDA(f=1)(updates).accepted).nonzero().flatten().tolist() == [gone]


@pytest.mark.parametrize(
    ("rule", "n", "numbers"),
    [
        (MDA(f=21), 100, ["f=21", "2^21 = 2,097,152 subsets", "1,048,576", "20 at most"]),
        (SMEA(f=6), 30, ["f=6", "593,775 subsets of 30", "200,000"]),
        (SMEA(), 100, ["f=20", "535,983,370,403,809,682,970 subsets", "200,000"]),
    ],
)
def test_too_many_subsets_are_refused_with_their_number(
    rule: Rule, n: int, numbers: list[str]
) -> None:
    with pytest.raises(UnfitRound) as refused:
        rule.for_participants(n)
    assert all(number in str(refused.value) for number in numbers), refused.value


def test_mda_can_do_a_fifth_of_a_hundred() -> None:
    updates = rows(100, 1000, seed=0)
    assert int(MDA()(updates).accepted.sum()) == 80


@pytest.mark.parametrize("rule", [MDA(f=3), SMEA(f=3), CAF(f=3)])
def test_fakes_that_carry_the_mean_away_get_no_weight(rule: Rule) -> None:
    updates = rows(15, 40, seed=0)
    honest = updates[3:].mean(dim=0)
    updates[:3] = 1e4 + updates[:3]
    result = rule(updates)
    assert (FedAvg()(updates).update - honest).norm() > 1000
    assert (result.update - honest).norm() < 1
    assert not result.accepted[:3].any()


def slow_caf(updates: np.ndarray, f: int) -> np.ndarray:
    """CAF with the d x d covariance, as the paper writes it."""
    n = len(updates)
    weights, smallest, best = np.ones(n), np.inf, None
    while True:
        mean = weights @ updates / weights.sum()
        away = updates - mean
        values, vectors = np.linalg.eigh((weights[:, None] * away).T @ away / weights.sum())
        if values[-1] < smallest:
            smallest, best = values[-1], mean
        outlying = (away @ vectors[:, -1]) ** 2
        weights = weights * (1 - np.minimum(1, outlying / outlying[weights > 0].max()))
        if weights.sum() <= n - 2 * f:
            assert best is not None
            return best


@pytest.mark.parametrize("scale", [3.0, 1e4])
@pytest.mark.parametrize(("n", "f"), [(5, 2), (20, 4), (40, 15)])
def test_caf_agrees_with_the_covariance_itself(n: int, f: int, scale: float) -> None:
    updates = rows(n, 12, seed=n, hostile=f, scale=scale)
    expected = slow_caf(updates.double().numpy(), f)
    np.testing.assert_allclose(CAF(f=f)(updates).update, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("n", "f", "seed"), [(9, 4, 1), (10, 3, 0), (40, 15, 3)])
def test_caf_goes_back_to_the_step_of_least_variance(n: int, f: int, seed: int) -> None:
    """Here the largest eigenvalue grows again in the last step; the mean of that is not taken."""
    updates = rows(n, 12, seed=seed)
    expected = slow_caf(updates.double().numpy(), f)
    np.testing.assert_allclose(CAF(f=f)(updates).update, expected, rtol=1e-3, atol=1e-3)


def test_caf_is_not_paced_by_a_row_that_is_out() -> None:
    """ByzFL's weights never change here again, and it never returns: it goes on dividing by the
    largest of all distances, and that is the one of the row which has no weight any more."""
    updates = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [1e12]])
    result = CAF(f=1)(updates)
    assert not result.accepted[-1]
    assert result.update.item() == pytest.approx(2.5)


def test_caf_without_hostile_participants_is_the_mean() -> None:
    updates = rows(9, 5, seed=0)
    torch.testing.assert_close(CAF(f=0)(updates).update, updates.mean(dim=0))


@pytest.mark.parametrize("n", [10, 100, 300])
def test_principal_directions_are_those_of_the_covariance(n: int) -> None:
    updates = rows(n, 400, seed=0).double()
    weights = 1 + torch.arange(n) % 3
    products = CenteredProducts(squared_distances(updates), weights.double())
    values, along = products.principal(3)
    shares = (weights / weights.sum()).double()
    away = updates - shares @ updates
    _, singular, right = torch.linalg.svd(shares.sqrt()[:, None] * away, full_matrices=False)
    torch.testing.assert_close(values, singular[:3].square(), rtol=1e-4, atol=0)
    torch.testing.assert_close(along.abs(), (away @ right[:3].T).abs(), rtol=1e-2, atol=1e-2)


def test_principal_directions_of_equal_rows_have_no_variance() -> None:
    products = CenteredProducts(
        torch.zeros(100, 100, dtype=torch.float64), torch.ones(100).double()
    )
    values, along = products.principal(2)
    assert values.tolist() == [0, 0]
    assert along.count_nonzero() == 0
