"""Rows that cannot be used, in every floating point type: no rule ever counts them."""

import pytest
import torch

from fedsiege import rules
from fedsiege.rules.base import finite_rows
from tests.cases import each
from tests.fedsiege.rules.cases import CASES, aggregate, honest_updates

TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
POISONS = [torch.inf, -torch.inf, torch.nan]


@pytest.mark.parametrize("dtype", TYPES)
def test_a_row_is_usable_up_to_the_largest_number_of_its_type(dtype: torch.dtype) -> None:
    most = min(torch.finfo(dtype).max, torch.finfo(torch.float32).max)
    rows = torch.tensor([[0.0, 1.0], [most, -most], *([0.0, poison] for poison in POISONS)])
    assert finite_rows(rows.to(dtype)).tolist() == [True, True, False, False, False]


@each("poison", POISONS)
@each("dtype", TYPES)
@each("text", CASES)
def test_one_value_that_is_not_finite_leaves_its_row_out(
    text: str, dtype: torch.dtype, poison: float
) -> None:
    updates = honest_updates(16, d=10).to(dtype)
    updates[3, 7] = poison
    others = (torch.arange(16) != 3).nonzero().flatten()
    rule = rules.parse(text)
    result = aggregate(rule, updates)
    assert not result.accepted[3]
    assert torch.equal(result.update, aggregate(rule, updates, rows=others).update)
