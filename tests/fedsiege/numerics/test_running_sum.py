"""The exact running sum: against rational arithmetic, and the same bits for every order."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.numerics import running_sum
from fedsiege.rules import RunningSum
from tests.cases import each

Term = tuple[np.float32, float]  # value and weight

LARGEST = float(np.finfo(np.float32).max)
values: st.SearchStrategy[np.float32] = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(-1.0, 1.0, width=32),
    st.sampled_from(
        [0.0, -0.0, 0.5, 1.0, -1.0, 1e-9, 2.0**-51, 3 * 2.0**-51, 2.0**50, LARGEST, -LARGEST]
    ),
).map(np.float32)
weights = st.one_of(st.just(1.0), st.floats(0.0, 1000.0), st.integers(1, 1000).map(float))
terms = st.lists(st.tuples(values, weights), min_size=1, max_size=12)


def mean(rows: list[Term]) -> torch.Tensor:
    total = RunningSum(1)
    for value, weight in rows:
        total.add(np.array([value], np.float32), weight, mass=1.0)
    return total.mean()


@settings(deadline=None, derandomize=True)
@given(terms)
def test_the_mean_is_the_rational_one_to_rounding(rows: list[Term]) -> None:
    exact = sum((Fraction(float(x) * w) for x, w in rows), Fraction(0)) / len(rows)
    found = mean(rows).item()
    if abs(exact) > LARGEST:  # weights above 1 can lead beyond float32
        assert abs(found) >= LARGEST
    else:
        allowed = abs(exact) * Fraction(2.0**-23) + Fraction(2.0**-50)
        assert abs(Fraction(found) - exact) <= allowed


@settings(deadline=None, derandomize=True)
@given(terms, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_bits(rows: list[Term], random: Random) -> None:
    shuffled = random.sample(rows, len(rows))
    assert mean(rows).numpy().tobytes() == mean(shuffled).numpy().tobytes()


@pytest.mark.parametrize("between", [1, 3, 8])
@settings(deadline=None, derandomize=True)
@given(rows=terms, random=st.randoms(use_true_random=False))
def test_carrying_changes_nothing(between: int, rows: list[Term], random: Random) -> None:
    plain = mean(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running_sum, "_ADDS_BETWEEN_CARRIES", between)
        carried, shuffled = mean(rows), mean(random.sample(rows, len(rows)))
    assert carried.numpy().tobytes() == shuffled.numpy().tobytes()
    torch.testing.assert_close(carried, plain, rtol=1e-6, atol=0)


@pytest.mark.parametrize("value", [1.0, -1.0, 2.0**50, -(2.0**50), 2.0**100, LARGEST])
def test_many_rows_at_the_edge_of_a_limb(value: float) -> None:
    """More than 2^13 rows of the largest value a limb takes would overflow it without carries."""
    total = RunningSum(1)
    row = np.array([value], np.float32)
    for _ in range(9000):
        total.add(row)
    assert total.mean().item() == row.item()
    assert total.count == 9000


def test_a_tiny_update_survives_beside_huge_ones_that_cancel() -> None:
    total = RunningSum(1)
    for value in (1e15, 1e-6, -1e15):
        total.add(np.array([value], np.float32))
    assert total.mean().item() == pytest.approx(1e-6 / 3, rel=1e-6)


@pytest.mark.parametrize("d", [1, 16_383, 16_384, 16_385, 44_426])
def test_rows_of_several_blocks(d: int) -> None:
    rows = np.random.default_rng(0).standard_normal((5, d), dtype=np.float32)
    rows[1] *= 1e6
    total = RunningSum(d)
    for row in rows:
        total.add(row)
    np.testing.assert_array_equal(
        total.mean().numpy(), rows.astype(np.float64).mean(axis=0).astype(np.float32)
    )


def test_the_mass_divides_and_defaults_to_the_weight() -> None:
    total = RunningSum(2)
    total.add(np.array([1.0, 2.0], np.float32), weight=3.0)
    total.add(np.array([5.0, 6.0], np.float32))
    assert total.mean().tolist() == [2.0, 3.0]
    total.add(np.array([8.0, 8.0], np.float32), weight=0.5, mass=4.0)
    assert total.mean().tolist() == [1.5, 2.0]


def test_masses_are_summed_exactly() -> None:
    masses = [2.0**60, 1.0, 2.0**-60] * 5
    row = np.ones(1, np.float32)

    def of(masses: list[float]) -> RunningSum:
        total = RunningSum(1)
        for mass in masses:
            total.add(row, mass=mass)
        return total

    assert of(masses)._mass == of(masses[::-1])._mass == sum(map(Fraction, masses))


def test_the_row_is_neither_kept_nor_changed() -> None:
    row = np.array([1.0, 1e6], np.float32)
    total = RunningSum(2)
    total.add(row, weight=0.5)
    assert row.tolist() == [1.0, 1e6]
    row[:] = 77.0
    assert total.mean().tolist() == [1.0, 1e6]


def test_reset_forgets() -> None:
    total = RunningSum(1)
    total.add(np.array([1e15], np.float32), weight=7.0)
    total.reset()
    assert total.count == 0
    total.add(np.array([0.25], np.float32))
    assert total.mean().item() == 0.25


def test_nothing_has_no_mean() -> None:
    with pytest.raises(UnfitRound, match="0 updates"):
        RunningSum(3).mean()


@each(
    ("row", "weight", "mass"),
    [
        ([1.0], 1.0, None),
        ([[1.0, 2.0]], 1.0, None),
        ([1.0, np.nan], 1.0, None),
        ([1.0, np.inf], 0.0, None),
        ([1.0, -np.inf], 1.0, None),
        ([1.0, 2.0], np.nan, None),
        ([1.0, 2.0], np.inf, None),
        ([0.0, 0.0], np.inf, None),
        ([1.0, 2.0], 2.0**140, None),
        ([1.0, 2.0], 1.0, -1.0),
        ([1.0, 2.0], 1.0, np.nan),
        ([1.0, 2.0], 1.0, np.inf),
        ([1.0, 2.0], -1.0, None),
    ],
)
def test_a_refused_row_changes_nothing(row: list[float], weight: float, mass: float | None) -> None:
    total = RunningSum(2)
    total.add(np.array([1.0, 2.0], np.float32))
    with pytest.raises(InvalidValue):
        total.add(np.array(row, np.float32), weight, mass)
    assert total.count == 1
    assert total.mean().tolist() == [1.0, 2.0]


def test_a_row_has_numbers() -> None:
    with pytest.raises(InvalidValue, match="1 or more"):
        RunningSum(0)
