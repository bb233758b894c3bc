"""Forged counts win where a rule believes them, and lose where it bounds them."""

import pytest
import torch

from fedsiege import attacks, rules
from fedsiege.errors import InvalidValue


def test_the_counts_are_those_it_was_told() -> None:
    attack = attacks.parse("forged-metadata:samples=7,steps=2")
    assert attack.claim([1, 2]) == (7, 2)
    assert attacks.create("mpaf").claim([1, 2]) == (1, 1)


def test_a_bound_on_the_counts_takes_the_advantage_away() -> None:
    samples, _ = attacks.create("forged-metadata").claim([9])
    updates = torch.tensor([[1.0]] * 9 + [[-100.0]])
    counts = torch.tensor([1] * 9 + [samples])
    believed = rules.create("fedavg", weighted=True, bound=4096)(updates, counts)
    bounded = rules.create("fedavg", weighted=True, bound=1)(updates, counts)
    assert believed.update.item() == pytest.approx((9 - 4096 * 100) / (9 + 4096))
    assert bounded.update.item() == pytest.approx(-9.1)


@pytest.mark.parametrize("text", ["samples=-1", "steps=-1", "samples=0.5", "scale=0"])
def test_impossible_counts_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        attacks.parse(f"forged-metadata:{text}")
