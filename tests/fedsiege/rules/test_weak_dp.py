"""Weak differential privacy."""

import pytest
import torch

from fedsiege.rules import FedAvg, RoundContext, WeakDp


def test_clipped_mean_by_hand() -> None:
    updates = torch.tensor([[3.0, 4.0], [0.0, 0.5]])
    assert WeakDp(bound=1.0, noise=0.0)(updates).update.tolist() == pytest.approx([0.3, 0.65])


def test_the_noise_is_on_the_aggregate_and_as_large_as_said() -> None:
    """Noise on each of the 100 updates would leave a tenth of it on their mean."""
    update = WeakDp(bound=3.0, noise=0.5)(torch.zeros(100, 20_000)).update
    assert update.std().item() == pytest.approx(0.5, rel=0.03)


def test_noise_depends_on_the_seed_and_the_round_alone() -> None:
    def noise(seed: int, number: int, n: int = 3) -> torch.Tensor:
        context = RoundContext(seed=seed, round_number=number)
        return WeakDp(bound=1.0)(torch.zeros(n, 50), context=context).update

    assert torch.equal(noise(1, 2), noise(1, 2, n=9))
    assert not torch.equal(noise(1, 2), noise(1, 3))
    assert not torch.equal(noise(1, 2), noise(2, 2))


def test_a_huge_update_wins_under_fedavg_and_loses_here() -> None:
    updates = torch.cat([torch.tensor([[-1e6, 0.0]]), torch.tensor([[0.0, 1.0]]).repeat(9, 1)])
    assert FedAvg()(updates).update.norm() > 1e4
    assert WeakDp()(updates).update.tolist() == pytest.approx([-0.1, 0.9], abs=0.01)
