"""Who is hostile: exactly as many as asked for, spread evenly, for every fraction."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsiege.errors import InvalidValue
from fedsiege.experiment.hostile import hostile_indices

participants = st.integers(0, 400)
fractions = st.one_of(
    st.floats(0, 1), st.decimals(0, 1, places=2).map(float), st.sampled_from([0.0, 0.5, 1.0])
)


@pytest.mark.parametrize(
    ("n", "fraction", "expected"),
    [
        (10, 0.3, [1, 4, 8]),  # the original makes every second hostile here
        (5, 0.0, []),
        (5, 1.0, [0, 1, 2, 3, 4]),
        (5, 0.8, [0, 1, 3, 4]),  # the original divides by zero from two thirds on
        (1, 0.5, [0]),
        (1, 0.49, []),
        (0, 0.5, []),
    ],
)
def test_small_cases_by_hand(n: int, fraction: float, expected: list[int]) -> None:
    assert hostile_indices(n, fraction) == expected


@pytest.mark.parametrize(
    ("n", "fraction", "count"),
    [
        (100, 0.2, 20),
        (100, 0.29, 29),
        (100, 0.57, 57),
        (10, 0.25, 3),
        (10, 0.15, 2),
        (200, 1e-7, 0),
    ],
)
def test_the_fraction_counts_as_it_is_written_and_halves_round_up(
    n: int, fraction: float, count: int
) -> None:
    assert len(hostile_indices(n, fraction)) == count


@given(participants, fractions)
def test_the_count_is_exact_and_the_indices_are_participants(n: int, fraction: float) -> None:
    indices = hostile_indices(n, fraction)
    off = len(indices) - Fraction(repr(fraction)) * n
    assert -Fraction(1, 2) < off <= Fraction(1, 2)
    assert indices == sorted(set(indices))
    assert all(0 <= i < n for i in indices)


@given(participants, fractions)
def test_gaps_differ_by_at_most_one(n: int, fraction: float) -> None:
    indices = hostile_indices(n, fraction)
    gaps = [b - a for a, b in pairwise(indices)]
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(participants, fractions)
def test_the_share_of_the_first_k_is_never_off_by_one(n: int, fraction: float) -> None:
    hostile = set(hostile_indices(n, fraction))
    seen = 0
    for k in range(1, n + 1):
        seen += k - 1 in hostile
        assert abs(seen - Fraction(repr(fraction)) * k) < 1


@pytest.mark.parametrize(
    ("n", "fraction"), [(10, -0.1), (10, 1.1), (10, float("nan")), (10, float("inf")), (-1, 0.5)]
)
def test_impossible_values_are_refused(n: int, fraction: float) -> None:
    with pytest.raises(InvalidValue):
        hostile_indices(n, fraction)
