"""Ranges of parameters."""

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.ranges import require_number


@pytest.mark.parametrize("value", [0.5, 1, 2])
def test_what_is_in_range_passes(value: float) -> None:
    require_number("rule:x", value, above=0, most=2)


@pytest.mark.parametrize("value", [0, 3, True, "1", None, float("nan"), float("inf")])
def test_what_is_not_is_refused_with_the_range(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"rule:x=.*a finite number, 2 or less, above 0"):
        require_number("rule:x", value, above=0, most=2)
