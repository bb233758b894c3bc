"""CRFL."""

import pytest
import torch

from fedsiege.errors import UnfitRound
from fedsiege.rules import Crfl, FedAvg, RoundContext

MODEL = torch.tensor([3.0, 0.0])


def test_the_global_model_is_clipped_not_the_update() -> None:
    updates = torch.tensor([[0.0, 8.0], [0.0, 0.0]])
    moved = MODEL + Crfl(bound=2.5, noise=0.0)(updates, context=RoundContext(model=MODEL)).update
    assert moved.tolist() == pytest.approx([1.5, 2.0])  # (3, 4) of norm 5, halved


def test_within_the_bound_it_is_the_mean() -> None:
    updates = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    rule = Crfl(bound=100.0, noise=0.0)
    assert rule(updates, context=RoundContext(model=MODEL)).update.tolist() == [2.0, 1.0]


def test_the_model_is_perturbed_after_clipping() -> None:
    model = torch.zeros(20_000)
    context = RoundContext(model=model, seed=5, round_number=1)
    update = Crfl(bound=1.0, noise=0.1)(torch.ones(3, 20_000), context=context).update
    assert update.norm().item() == pytest.approx((1 + 0.01 * 20_000) ** 0.5, rel=0.05)


def test_a_huge_update_destroys_the_model_under_fedavg_and_not_here() -> None:
    updates = torch.tensor([[1e6, 0.0], [0.0, 0.1], [0.0, 0.1]])
    assert (MODEL + FedAvg()(updates).update).norm() > 1e5
    moved = MODEL + Crfl(noise=0.0)(updates, context=RoundContext(model=MODEL)).update
    assert moved.norm() <= 15.001


def test_it_needs_the_model() -> None:
    with pytest.raises(UnfitRound, match="crfl needs to know the round's model"):
        Crfl()(torch.ones(2, 2))
    with pytest.raises(UnfitRound, match="updates of 3"):
        Crfl()(torch.ones(2, 3), context=RoundContext(model=MODEL))
