"""The mean of a matrix against the running sum of its rows: every bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.aggregation import RunningSum
from fedsiege.aggregation.exact_mean import exact_mean
from fedsiege.errors import InvalidValue, UnfitRound

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


@pytest.mark.parametrize("n", [1, 15, 16, 17, 300])
@pytest.mark.parametrize("scale", [1e-9, 1e-2, 1e6])
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
def test_what_cannot_be_added_is_refused(weight: float, mass: float) -> None:
    with pytest.raises(InvalidValue):
        exact_mean(torch.full((2, 3), 2.0), [1.0, weight], [1.0, mass])


def test_nothing_has_no_mean() -> None:
    with pytest.raises(UnfitRound, match="2 updates of total weight 0"):
        exact_mean(torch.ones(2, 3), [0.0, 0.0], [0.0, 0.0])
