import numpy as np
import pytest

from fedsiege.numerics.distances import norm_of


@pytest.mark.parametrize("d", [1, 8191, 8192, 8193, 44_426])
def test_agrees_with_float64(d: int) -> None:
    row = np.random.default_rng(0).standard_normal(d, dtype=np.float32)
    assert norm_of(row) == pytest.approx(np.linalg.norm(row.astype(np.float64)), rel=1e-12)


def test_the_largest_float32_does_not_overflow() -> None:
    largest = np.finfo(np.float32).max
    assert norm_of(np.full(10_000, largest)) == pytest.approx(100.0 * float(largest))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 9_999])
def test_the_norm_is_finite_only_if_the_row_is(poison: float, position: int) -> None:
    row = np.ones(10_000, np.float32)
    assert np.isfinite(norm_of(row))
    row[position] = poison
    assert not np.isfinite(norm_of(row))


def test_any_bits_that_may_come_over_the_wire() -> None:
    signalling_nan = np.array([0x7F800001] * 3, np.uint32).view(np.float32)
    assert np.isnan(norm_of(signalling_nan))
