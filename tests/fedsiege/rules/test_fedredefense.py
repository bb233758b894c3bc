"""FedREDefense."""

from dataclasses import replace

import pytest
import torch

from fedsiege import models
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import FedAvg, FedREDefense, RoundContext, state
from fedsiege.rules.distillation import Distillation, Synthetic
from fedsiege.rules.fedredefense import FedREDefenseState

MODEL = models.random_weights("net", 0)
CONTEXT = RoundContext(model=MODEL, architecture="net", seed=1)


def synthetic(seed: int, rate: float) -> Synthetic:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(1, 10, 1, 28, 28, generator=generator)
    labels = 3 * torch.randn(1, 10, 10, generator=generator)
    return Synthetic(images, labels, torch.tensor([rate]))


def trained(seed: int, rate: float = 0.2) -> torch.Tensor:
    """Return the update ``(1, d)`` that five steps on some images make: it can be distilled."""
    search = Distillation("net", MODEL, 5, 0.1)
    data = synthetic(seed, rate)
    loss = search._loss()
    weights = MODEL.clone().requires_grad_()
    moved = weights
    for _ in range(5):
        [slope] = torch.autograd.grad(loss(moved, data.images[0], data.labels[0]), moved)
        moved = (moved - rate * slope).detach().requires_grad_()
    return (moved - weights).detach()[None]


def test_the_data_that_made_an_update_have_no_error() -> None:
    search = Distillation("net", MODEL, 5, 0.1)
    errors, _ = search.search(trained(3), synthetic(3, 0.2), iterations=1, enough=0.0)
    assert errors.item() < 1e-6


def test_the_search_makes_the_error_smaller() -> None:
    search, start = Distillation("net", MODEL, 5, 0.1), synthetic(4, 0.1)
    before = start.images.clone()
    first, _ = search.search(trained(3), start, iterations=1, enough=0.0)
    later, better = search.search(trained(3), start, iterations=6, enough=0.0)
    assert later.item() < 0.8 * first.item()
    assert torch.equal(start.images, before)
    again, _ = search.search(trained(3), better, iterations=1, enough=0.0)
    assert again.item() == pytest.approx(later.item(), rel=1e-3)


def test_fakes_without_data_win_under_fedavg_and_are_banned_here() -> None:
    honest = torch.cat([trained(seed) for seed in (3, 4)])
    step = 10 * (models.random_weights("net", 1) - MODEL)
    updates = torch.cat([step[None], honest])
    rule = FedREDefense(iterations=10)
    result = rule(updates, context=CONTEXT)
    assert FedAvg()(updates).update.norm() > 10 * honest.norm(dim=1).max()
    assert result.accepted.tolist() == [False, True, True]
    torch.testing.assert_close(result.update, honest.mean(dim=0))
    # Banned for good and by identity, though what it sends now is honest.
    memory = state.from_bytes(state.to_bytes(result.state), FedREDefenseState)
    context = replace(CONTEXT, participants=torch.tensor([1, 0]))
    second = rule(honest, context=context, state=memory)
    assert second.accepted.tolist() == [True, False]
    assert isinstance(second.state, FedREDefenseState)
    assert sorted(second.state.identities.tolist()) == [0, 1, 2]
    assert second.state.images.shape == (3, 10, 1, 28, 28)


def test_who_was_banned_stays_so_whatever_it_sends() -> None:
    """Both send what their data of the round before make without an error."""
    data = [synthetic(seed, 0.2) for seed in (3, 4)]
    memory = FedREDefenseState(
        identities=torch.tensor([7, 8]),
        seen=torch.tensor([1, 1]),
        banned=torch.tensor([False, True]),
        images=torch.cat([one.images for one in data]),
        labels=torch.cat([one.labels for one in data]),
        rates=torch.cat([one.rates for one in data]),
        rounds=1,
    )
    updates = torch.cat([trained(3), trained(4)])
    context = replace(CONTEXT, participants=torch.tensor([7, 8]))
    result = FedREDefense(iterations=1)(updates, context=context, state=memory)
    assert result.accepted.tolist() == [True, False]
    assert result.scores is not None
    assert result.scores.tolist() == [pytest.approx(0, abs=1e-6), 1.0]


@pytest.mark.parametrize("size", [1e20, 3e38])
def test_rows_beyond_the_squares_of_float32_are_banned(size: float) -> None:
    updates = torch.cat([torch.full((1, len(MODEL)), size), torch.zeros(1, len(MODEL))])
    result = FedREDefense(iterations=1)(updates, context=CONTEXT)
    assert result.accepted.tolist() == [False, True]
    assert not result.update.any()


def test_where_nobody_is_left_the_model_is_kept() -> None:
    fakes = torch.randn(2, len(MODEL), generator=torch.Generator().manual_seed(0))
    result = FedREDefense(iterations=1)(fakes, context=CONTEXT)
    assert not result.accepted.any()
    assert not result.update.any()


def test_it_says_what_it_needs() -> None:
    with pytest.raises(UnfitRound, match="model, architecture and input_shape"):
        FedREDefense()(torch.ones(2, 3))
    with pytest.raises(UnfitRound, match="a model of 13106, updates of 3"):
        FedREDefense()(torch.ones(2, 3), context=CONTEXT)


def test_a_threshold_that_an_update_meets_without_an_image_is_refused() -> None:
    """1 is the error of doing nothing, and that of a row too large to be looked at."""
    with pytest.raises(InvalidValue, match=r"fedredefense:threshold=1.*below 1"):
        FedREDefense(threshold=1)
