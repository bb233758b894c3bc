"""Free riders send nothing, or what the federation has just done."""

import pytest
import torch

from fedsiege import attacks
from fedsiege.errors import InvalidValue

pytestmark = pytest.mark.usefixtures("tiny")


def test_zeros_are_zeros(hear) -> None:
    broadcast = hear([1.0, -2.0, 0.25], previous=[0.5, 0.0, -1.0])
    assert not attacks.create("free-rider").craft(broadcast, [1, 2]).any()


def test_stale_is_the_last_step_once_more(hear) -> None:
    stale = attacks.create("free-rider", kind="stale")
    broadcast = hear([1.0, -2.0, 0.25], previous=[0.5, 0.0, -1.0])
    expected = torch.tensor([0.5, -2.0, 1.25]).expand(2, 3)
    assert torch.equal(stale.craft(broadcast, [1, 2]), expected)
    assert not stale.craft(hear([1.0, -2.0, 0.25], previous=None), [1]).any()


def test_there_is_no_third_kind() -> None:
    with pytest.raises(InvalidValue, match="zeros or stale"):
        attacks.parse("free-rider:kind=lazy")
