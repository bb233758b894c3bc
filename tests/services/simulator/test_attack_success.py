"""Tests of the measurement of attack success rates."""

from collections.abc import Iterator
from unittest.mock import AsyncMock, Mock

import numpy as np
import pytest
import torch

from fedsiege.services.simulator.attack_success import AttackSuccessRates


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


async def test_the_rate_does_not_depend_on_the_number_of_processors(
    two_threads: None,
) -> None:
    """On more than one thread, the logits depend on how many there are."""
    federation = Mock(model=AsyncMock(return_value=(np.zeros(3, np.float32), None)))
    used = []

    def success(weights: torch.Tensor) -> float:
        used.append(torch.get_num_threads())
        return 0.25

    rates = AttackSuccessRates(success)  # type: ignore[arg-type]
    await rates.measure(1, federation)
    assert await rates.rate(1) == 0.25
    assert used == [1]
