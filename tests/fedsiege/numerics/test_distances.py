"""Distances against float64 brute force, in the mixes of scales that attacks produce."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fedsiege.numerics import distances
from fedsiege.rules import squared_distances

Rows = torch.Tensor


def noise(n: int, d: int = 300, seed: int = 0) -> Rows:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) / d**0.5


def brute_force(rows: Rows) -> Rows:
    """Return the squared distances by subtraction in float64."""
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(rows.double(), rows.double(), compute_mode=exact).square()


def honest_and_identical_fakes() -> Rows:
    return torch.cat([0.1 * noise(30), 1e6 * noise(1, seed=1).repeat(10, 1)])


def honest_and_spread_fakes() -> Rows:
    """mpaf-spread: fakes of norm 1e6 that differ among each other by 1e-4 of that."""
    fakes = 1e6 * noise(1, seed=1) + 1e2 * noise(10, seed=2)
    return torch.cat([0.1 * noise(30), fakes])


def a_common_drift() -> Rows:
    return 100.0 * noise(1, seed=1) + 0.01 * noise(40)


def two_camps() -> Rows:
    return torch.cat([50.0 * noise(1, seed=s) + 0.01 * noise(20, seed=s + 5) for s in (1, 2)])


def clusters_in_clusters() -> Rows:
    rows = 1e4 * noise(1, seed=1) + 10.0 * noise(2, seed=2).repeat_interleave(20, dim=0)
    return rows + 0.05 * noise(40)


def a_ladder_of_scales() -> Rows:
    return noise(40) * torch.logspace(-6, 6, 40)[:, None]


def far_pairs() -> Rows:
    """Twenty pairs, each far from the others and within 1e-3 of its own norm."""
    return 1e3 * noise(20).repeat_interleave(2, dim=0) + noise(40, seed=1)


MIXES = [
    noise,
    honest_and_identical_fakes,
    honest_and_spread_fakes,
    a_common_drift,
    two_camps,
    clusters_in_clusters,
    a_ladder_of_scales,
    far_pairs,
]


@pytest.mark.parametrize("mix", MIXES[1:])
def test_every_distance_is_good_to_its_own_scale(mix: Callable[[], Rows]) -> None:
    rows = mix()
    torch.testing.assert_close(squared_distances(rows), brute_force(rows), rtol=1e-4, atol=0)


def test_identical_rows_are_at_distance_zero() -> None:
    found = squared_distances(honest_and_identical_fakes())
    assert found[30:, 30:].count_nonzero() == 0
    assert found[:30, 30:].count_nonzero() == 300


def test_hand_computed() -> None:
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])
    assert squared_distances(rows).tolist() == [[0, 25, 9], [25, 0, 16], [9, 16, 0]]


def test_symmetric_without_negative_values() -> None:
    found = squared_distances(honest_and_spread_fakes())
    torch.testing.assert_close(found, found.T, rtol=1e-4, atol=0)
    assert found.min() == 0.0
    assert found.diagonal().count_nonzero() == 0


def test_blocks_and_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = noise(20)
    whole = squared_distances(rows)
    monkeypatch.setattr(distances, "_WIDTH", 7)
    monkeypatch.setattr(distances, "_TILE", 6)
    torch.testing.assert_close(squared_distances(rows), whole, rtol=1e-5, atol=0)


def test_rows_beyond_the_squares_of_float32_are_as_far_as_they_are() -> None:
    huge = torch.full((2, 300), 1e30)
    rows = torch.cat([noise(5), huge, -huge])
    found = squared_distances(rows)
    torch.testing.assert_close(found, brute_force(rows), rtol=1e-4, atol=0)
    assert found[5, 6] == 0.0


def test_a_single_row_and_equal_rows() -> None:
    assert squared_distances(noise(1)).tolist() == [[0.0]]
    assert squared_distances(noise(1).repeat(4, 1)).count_nonzero() == 0
    assert squared_distances(torch.zeros(4, 3)).count_nonzero() == 0


def test_as_accurate_over_many_columns() -> None:
    rows = torch.from_numpy(
        np.random.default_rng(0).standard_normal((10, 50_000), dtype=np.float32)
    )
    torch.testing.assert_close(squared_distances(rows), brute_force(rows), rtol=1e-5, atol=0)


@pytest.mark.parametrize("deviation", [0.05, 0.065])
def test_long_rows_that_nearly_cancel(deviation: float) -> None:
    """Squared distances of 2.5 and 4.2 thousandths of both squared lengths: about the limit."""
    normal = np.random.default_rng(0).standard_normal((60, 100_000), dtype=np.float32)
    rows = torch.from_numpy(1 + np.float32(deviation) * normal)
    torch.testing.assert_close(squared_distances(rows), brute_force(rows), rtol=2e-4, atol=0)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n", [400, 401])
def test_many_rows_on_threads(n: int, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = squared_distances(torch.cat([noise(n - 10), 1e6 * noise(1, seed=1).repeat(10, 1)]))
    finally:
        torch.set_num_threads(before)
    assert found[-10:, -10:].count_nonzero() == 0
    few = found[: n - 10, : n - 10]
    expected = brute_force(noise(n - 10))
    torch.testing.assert_close(few, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(found, found.T, rtol=1e-4, atol=0)


@pytest.mark.parametrize("d", [1, 8191, 8192, 8193, 44_426])
def test_a_norm_agrees_with_float64(d: int) -> None:
    row = np.random.default_rng(0).standard_normal(d, dtype=np.float32)
    assert distances.norm_of(row) == pytest.approx(
        np.linalg.norm(row.astype(np.float64)), rel=1e-12
    )


def test_the_norm_of_the_largest_float32_does_not_overflow() -> None:
    largest = np.finfo(np.float32).max
    assert distances.norm_of(np.full(10_000, largest)) == pytest.approx(100.0 * float(largest))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 9_999])
def test_the_norm_is_finite_only_if_the_row_is(poison: float, position: int) -> None:
    row = np.ones(10_000, np.float32)
    assert np.isfinite(distances.norm_of(row))
    row[position] = poison
    assert not np.isfinite(distances.norm_of(row))


def test_the_norm_of_a_signalling_nan_is_nan() -> None:
    signalling_nan = np.array([0x7F800001] * 3, np.uint32).view(np.float32)
    assert np.isnan(distances.norm_of(signalling_nan))
