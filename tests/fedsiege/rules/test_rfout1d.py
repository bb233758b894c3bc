"""RFOut-1d, faithful and repaired: what follows from its definition."""

import pytest
import torch

from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.rules import FedAvg, RFOut1d, RFOut1dRobust, RoundContext


def with_outliers(k: int, n: int, value: float = 1e6) -> torch.Tensor:
    updates = torch.zeros(n, 2)
    updates[:k, 0] = value
    return updates


@pytest.mark.parametrize(
    ("k", "n", "caught"),
    [
        (1, 10, False),
        (1, 11, True),
        (10, 100, False),
        (9, 100, True),
        (2, 20, False),
        (2, 21, True),
    ],
)
def test_equal_outliers_are_caught_only_below_a_tenth(k: int, n: int, caught: bool) -> None:
    p = k / n
    result = RFOut1d()(with_outliers(k, n))
    assert result.update[0].item() == pytest.approx(1e6 * (p**2 if caught else p))
    assert result.scores is not None
    assert result.scores[0].item() == (0.5 if caught else 0.0)


def test_it_says_where_it_is_nothing_but_the_mean() -> None:
    """A single value among n lies sqrt(n - 1) deviations off at most: 3 among 10."""
    assert RFOut1d().remark(10) == "rfout1d filters nothing among fewer than 11 updates, 10"
    assert RFOut1d()(with_outliers(1, 10)).update[0].item() == pytest.approx(1e5)
    assert RFOut1d().remark(11) == ""
    notes = resolve(ExperimentSpec(rule="clipping/rfout1d", clients=10)).notes
    assert "rfout1d filters nothing among fewer than 11 updates, 10" in notes


def test_a_caught_value_still_weighs_p_squared() -> None:
    """The attack of a scale of 1e6 destroys the model under the faithful rule, not the repaired."""
    updates = with_outliers(9, 100)
    assert FedAvg()(updates).update[0] > 8e4
    assert 8e3 < RFOut1d()(updates).update[0] < FedAvg()(updates).update[0] / 10
    assert RFOut1dRobust()(updates).update[0] == 0


def test_by_hand_with_one_outlier_in_twelve() -> None:
    column = [1.0, -1.0] * 5 + [0.0, 50.0]
    mean = 50 / 12
    result = RFOut1d()(torch.tensor(column)[:, None])
    assert result.update.item() == pytest.approx(mean / 12)


def test_the_standard_deviation_is_that_of_the_population() -> None:
    """One outlier in 11 has |z| = sqrt(10) = 3.16; with n - 1 in place of n it would be 3.015. One
    in 11 and a half as large value: the half raises sigma so far that only the former is over 3."""
    updates = torch.zeros(11, 1)
    updates[0], updates[1] = 1.0, 0.2
    mean = 1.2 / 11
    z = (1 - mean) / float(updates.std(correction=0))
    assert float((1 - mean) / updates.std()) < 3 < z
    assert RFOut1d()(updates).update.item() == pytest.approx((0.2 + mean) / 11)


def test_filtering_does_not_depend_on_the_origin() -> None:
    updates = torch.randn(30, 40, generator=torch.Generator().manual_seed(0))
    updates[0] += 20
    shifted = RFOut1d()(updates + 5).update - 5
    torch.testing.assert_close(shifted, RFOut1d()(updates).update, rtol=1e-4, atol=1e-5)


def test_clipping_is_of_the_filtered_rows_and_of_the_whole() -> None:
    updates = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    assert RFOut1d(clip=1.0)(updates).update.tolist() == pytest.approx([0.45, 0.6])
    filtered = RFOut1d(clip=1e9)(with_outliers(1, 20))
    assert torch.equal(filtered.update, RFOut1d()(with_outliers(1, 20)).update)


def test_no_clipping_does_not_multiply_by_zero() -> None:
    assert RFOut1d()(torch.ones(3, 2)).update.tolist() == [1.0, 1.0]
    assert RFOut1d(clip=1.0)(torch.zeros(3, 2)).update.tolist() == [0.0, 0.0]


def test_noise_has_the_deviation_of_the_mean_of_clipped_rows() -> None:
    noisy = RFOut1d(clip=2.0, noise=3.0)(torch.zeros(10, 20_000), context=RoundContext(seed=4))
    assert noisy.update.std().item() == pytest.approx(3.0 * 2.0 / 10, rel=0.03)
    with pytest.raises(InvalidValue, match="rfout1d:noise"):
        RFOut1d(noise=1.0)


@pytest.mark.parametrize("n", [4, 5, 30, 31])
def test_the_repaired_filter_agrees_with_its_definition(n: int) -> None:
    updates = torch.randn(n, 200, generator=torch.Generator().manual_seed(n)).pow(3)
    median = updates.double().quantile(0.5, dim=0)
    spread = (updates - median).abs().quantile(0.5, dim=0)
    near = (updates - median).abs() <= 3 * 1.4826 * spread
    expected = (updates * near).sum(dim=0) / near.sum(dim=0)
    torch.testing.assert_close(RFOut1dRobust()(updates).update, expected)


@pytest.mark.parametrize("k", [20, 49])
def test_the_repaired_filter_holds_up_to_a_half(k: int) -> None:
    honest = torch.randn(100 - k, 20, generator=torch.Generator().manual_seed(0))
    updates = torch.cat([torch.full((k, 20), 1e6), honest])
    assert RFOut1d()(updates).update.min() > 1e4
    assert RFOut1dRobust()(updates).update.abs().max() < 3
