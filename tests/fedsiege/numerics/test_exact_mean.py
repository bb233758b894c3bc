"""The mean of a matrix against the running sum of its rows: every bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.numerics.exact_mean import exact_mean, mean_if_finite
from fedsiege.rules import RunningSum
from tests.cases import each

LARGEST = float(np.finfo(np.float32).max)
values: st.SearchStrategy[float] = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(-1.0, 1.0, width=32),
    # What a running sum rounds, half-way cases among it; what float64 loses beside other terms.
    st.sampled_from([0.0, -0.0, 2.0**-51, 3 * 2.0**-51, 1e-30, 2.0**60, -(2.0**60), 1.0, LARGEST]),
)
matrices = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(values, min_size=n, max_size=n), min_size=1, max_size=5).map(
        lambda columns: torch.tensor(columns, dtype=torch.float32).T
    )
)


def running(updates: torch.Tensor, weights: list[float], masses: list[float]) -> torch.Tensor:
    total = RunningSum(updates.shape[1])
    for row, weight, mass in zip(updates, weights, masses, strict=True):
        total.add(row.numpy(), weight, mass)
    return total.mean()


def assert_same_bits(updates: torch.Tensor, weights: list[float], masses: list[float]) -> None:
    found = exact_mean(updates, weights, masses)
    assert found.numpy().tobytes() == running(updates, weights, masses).numpy().tobytes()


@settings(deadline=None, derandomize=True)
@given(matrices, st.data())
def test_any_numbers(updates: torch.Tensor, data: st.DataObject) -> None:
    n = len(updates)
    numbers = st.one_of(st.just(1.0), st.floats(0.0, 1000.0), st.integers(1, 1000).map(float))
    weights = data.draw(st.lists(numbers, min_size=n, max_size=n))
    assert_same_bits(updates, weights, [weight + 1 for weight in weights])


@each("n", [1, 15, 16, 17, 300])
@each("scale", [1e-9, 1e-2, 1e6])
def test_matrices_of_several_blocks(n: int, scale: float) -> None:
    updates = scale * torch.randn(n, 20_000, generator=torch.Generator().manual_seed(n))
    updates[:, 100:400] = 0
    updates[: n // 5, 200:] *= 1e6
    assert_same_bits(updates, [1.0] * n, [1.0] * n)
    weights = [0.5 + i % 7 for i in range(n)]
    assert_same_bits(updates, weights, weights)


def test_a_mean_half_way_between_two_floats() -> None:
    """The interval around the float64 sum holds both: only the exact sum can tell."""
    updates = torch.tensor([[1.0, 1.0, 1.0], [1.0 + 2.0**-23, 1 + 3 * 2.0**-23, 1 - 2.0**-24]])
    assert_same_bits(updates, [1.0, 1.0], [1.0, 1.0])
    nearly = torch.cat([updates, torch.tensor([[2.0**-49, -(2.0**-49), 2.0**-60]])])
    assert_same_bits(nearly, [1.0] * 3, [1.0, 1.0, 0.0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_read_as_float32(dtype: torch.dtype) -> None:
    updates = torch.randn(20, 50, generator=torch.Generator().manual_seed(0)).to(dtype)
    ones = [1.0] * 20
    assert torch.equal(exact_mean(updates, ones, ones), running(updates.float(), ones, ones))


@pytest.mark.parametrize(
    ("weight", "mass"), [(2.0**140, 1.0), (np.nan, 1.0), (1.0, -1.0), (1.0, np.inf), (1.0, np.nan)]
)
def test_values_out_of_range_are_refused(weight: float, mass: float) -> None:
    with pytest.raises(InvalidValue):
        exact_mean(torch.full((2, 3), 2.0), [1.0, weight], [1.0, mass])


def test_nothing_has_no_mean() -> None:
    with pytest.raises(UnfitRound, match="2 updates of total weight 0"):
        exact_mean(torch.ones(2, 3), [0.0, 0.0], [0.0, 0.0])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e38])
def test_cancelling_terms_are_exact(scale: float) -> None:
    """The sum of sizes says nothing of the sum: every coordinate is open."""
    large = scale * torch.rand(50, 3000, generator=torch.Generator().manual_seed(1))
    updates = torch.cat([large, torch.full((1, 3000), 1e-3), -large])
    n = len(updates)
    assert_same_bits(updates, [1.0] * n, [1.0] * n)
    assert_same_bits(updates, [1.0 + i % 50 for i in range(n)], [1.0] * n)


@pytest.mark.parametrize("value", [2.0**-149, 2.0**-126, -(2.0**-140), 2.0**-51, 0.75 * 2.0**-50])
def test_numbers_below_what_a_running_sum_keeps(value: float) -> None:
    assert_same_bits(torch.full((7, 40), value), [1.0] * 7, [1.0] * 7)
    mixed = torch.full((7, 40), value)
    mixed[::2] = torch.randn(4, 40, generator=torch.Generator().manual_seed(0))
    assert_same_bits(mixed, [1.0] * 7, [1.0] * 7)


def test_every_coordinate_half_way_between_two_floats() -> None:
    """What whoever knows the bound would send: nothing is settled by it."""
    first = 1 + torch.arange(70_000) * 2.0**-23
    updates = torch.stack([first, first + 2.0**-23])
    assert_same_bits(updates, [1.0, 1.0], [1.0, 1.0])


def test_a_spike_in_one_coordinate_does_not_affect_others() -> None:
    updates = 1e-2 * torch.randn(100, 5000, generator=torch.Generator().manual_seed(0))
    updates[:20, 17] = -1e30
    assert_same_bits(updates, [1.0] * 100, [1.0] * 100)


def test_more_rows_than_are_added_between_two_carries() -> None:
    updates = torch.randn(5000, 33, generator=torch.Generator().manual_seed(0))
    assert_same_bits(updates, [1.0] * 5000, [1.0] * 5000)
    counts = [float(1 + i % 1000) for i in range(5000)]
    assert_same_bits(updates, counts, counts)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("row", [0, 999])
def test_values_that_are_not_finite_are_noticed(bad: float, row: int) -> None:
    updates = torch.randn(1000, 200, generator=torch.Generator().manual_seed(0))
    updates[row, 150] = bad
    ones = [1.0] * 1000
    assert mean_if_finite(updates, ones, ones) is None
    assert mean_if_finite(updates, [*ones[:-1], 0.0], ones) is None
    with pytest.raises(InvalidValue):
        exact_mean(updates, ones, ones)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for n, d in ((1, 5), (2, 100_000), (50, 70_000), (3000, 40)):
            updates = torch.randn(n, d, generator=torch.Generator().manual_seed(n))
            assert_same_bits(updates, [1.0] * n, [1.0] * n)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
