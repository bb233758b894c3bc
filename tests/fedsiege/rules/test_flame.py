"""FLAME."""

import pytest
import torch

from fedsiege.rules import FedAvg, Flame, RoundContext


def cohort(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.ones(40) + 0.3 * torch.randn(n, 40, generator=generator)


def test_fakes_are_outside_the_cluster_and_lose() -> None:
    updates = torch.cat([torch.full((1, 40), -1e3).repeat(6, 1), cohort(14)])
    result = Flame()(updates)
    assert (FedAvg()(updates).update < 0).all()
    assert not result.accepted[:6].any()
    assert result.accepted.sum() > 10
    assert (result.update > 0).all()


def test_the_median_norm_is_that_of_all_participants() -> None:
    """9 short rows lie together, 8 long ones do not: the median of all is 10, of the 9 it is 1."""
    along, across = torch.zeros(9, 17), 10 * torch.eye(17)[9:]
    along[:, 0] = torch.tensor([1.0] * 5 + [20.0] * 4)
    result = Flame(noise=0.0)(torch.cat([along, across]))
    assert result.accepted.tolist() == [True] * 9 + [False] * 8
    assert result.update[0].item() == pytest.approx((5 * 1 + 4 * 10) / 9)


def test_noise_is_in_proportion_to_the_median_norm() -> None:
    row = torch.zeros(1, 20_000)
    row[0, 0] = 8.0
    update = Flame(noise=0.25)(row.repeat(5, 1), context=RoundContext(seed=1)).update
    assert update[1:].std().item() == pytest.approx(2.0, rel=0.03)
    assert update[0].item() == pytest.approx(8.0, abs=10)


def test_of_two_camps_of_equal_size_neither_is_put_out() -> None:
    """Neither is more than half: the smallest majority that lies together is everyone."""
    camps = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat_interleave(3, dim=0)
    jitter = 0.01 * torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    assert Flame()(camps + jitter).accepted.all()


@pytest.mark.parametrize("seed", range(5))
def test_more_than_half_are_always_admitted(seed: int) -> None:
    """So there is no round without anybody, in which the model would have to be kept."""
    generator = torch.Generator().manual_seed(seed)
    for n in range(3, 12):
        updates = torch.randn(n, 1 + seed, generator=generator)
        assert 2 * Flame()(updates).accepted.sum() > n


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_who_agree_are_followed(n: int) -> None:
    result = Flame(noise=0.0)(torch.ones(n, 4))
    assert result.accepted.all()
    assert result.update.tolist() == [1.0] * 4
