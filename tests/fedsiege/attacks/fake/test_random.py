import pytest
import torch

from fedsiege import attacks
from fedsiege.attacks import Broadcast


def craft(scale: float = 1.0, round_number: int = 1, seed: int = 0) -> torch.Tensor:
    broadcast = Broadcast(round_number, torch.zeros(20_000), None, "any", seed)
    return attacks.create("random", scale=scale).craft(broadcast, [0, 1])


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_elements_are_normal_with_standard_deviation_lambda(scale):
    row = craft(scale)[0] / scale
    assert abs(row.mean()) < 0.03
    assert row.std() == pytest.approx(1, abs=0.03)
    assert (row.abs() < 1).double().mean() == pytest.approx(0.6827, abs=0.02)


def test_each_fake_draws_its_own_in_every_round_and_run():
    rows = [*craft(), *craft(round_number=2), *craft(seed=1)]
    similarity = torch.corrcoef(torch.stack(rows)) - torch.eye(6)
    assert similarity.abs().max() < 0.05
    assert torch.equal(craft(), craft())
