"""SpecGuard."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fedsiege import models
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import FedAvg, RoundContext, SpecGuard, state
from fedsiege.rules.root_data import RootData
from fedsiege.rules.specguard import SpecGuardState
from fedsiege.training.base import Shard

ROOT = Shard(
    torch.randn(20, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 10
)
CONTEXT = RoundContext(model=models.random_weights("net", 0), architecture="net", root=ROOT)
AXES = SpecGuardState(torch.eye(2, 4), age=0)  # the first two of four coordinates


def test_gradients_of_samples_are_those_of_single_losses() -> None:
    assert CONTEXT.model is not None
    module = models.create("net")
    models.unflatten_into(module, CONTEXT.model)
    found = RootData(CONTEXT, 13_106).gradients()
    for i in (0, 19):
        module.zero_grad()
        F.cross_entropy(module(ROOT.images[i : i + 1]), ROOT.labels[i : i + 1]).backward()
        expected = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
        torch.testing.assert_close(found[i], expected, rtol=1e-4, atol=1e-6)


def test_by_hand() -> None:
    """Shares 1, .5, 1 / 26 and 0. Three of four are kept and clipped to the median norm, 2."""
    updates = torch.tensor([[0.0, 2, 0, 0], [1.0, 0, 0, 1.0], [1.0, 0, 5.0, 0], [0, 0, 2.0, 0]])
    result = SpecGuard()(updates, state=AXES)
    assert result.scores is not None
    assert result.scores.tolist() == pytest.approx([1, 0.5, 1 / 26, 0])
    assert result.accepted.tolist() == [True, True, True, False]
    clipped = 2 / 26**0.5
    expected = [(1 + clipped) / 3, 2 / 3, 5 * clipped / 3, 1 / 3]
    assert result.update.tolist() == pytest.approx(expected)


def test_the_share_kept_is_rounded_up_and_the_median_norm_is_that_of_all() -> None:
    """Four of five are kept. Norms 2, 1, 4, sqrt(10) and .5: the median of all is 2, of the four
    kept it would be 2.58."""
    updates = torch.tensor(
        [[2.0, 0, 0, 0], [1.0, 0, 0, 0], [4.0, 0, 0, 0], [0, 3.0, 0, 1.0], [0, 0, 0, 0.5]]
    )
    result = SpecGuard()(updates, state=AXES)
    assert result.accepted.tolist() == [True] * 4 + [False]
    clipped = 2 / 10**0.5
    expected = [(2 + 1 + 2) / 4, 3 * clipped / 4, 0, clipped / 4]
    assert result.update.tolist() == pytest.approx(expected)


def test_fakes_outside_the_span_win_under_fedavg_and_lose_here() -> None:
    """Honest updates are minus mean gradients of some of the root samples; fakes are MPAF's."""
    assert CONTEXT.model is not None
    gradients = RootData(CONTEXT, 13_106).gradients()
    honest = -torch.stack([gradients[i::15].mean(dim=0) for i in range(15)])
    step = 10 * (models.random_weights("net", 1) - CONTEXT.model)
    updates = torch.cat([step.repeat(5, 1), honest])
    result = SpecGuard(root=20)(updates, context=CONTEXT)
    assert not result.accepted[:5].any()
    assert result.accepted[5:].all()
    assert FedAvg()(updates).update.norm() > 10 * result.update.norm()


def test_directions_are_orthonormal_and_used_for_a_number_of_rounds() -> None:
    updates = torch.randn(4, 13_106, generator=torch.Generator().manual_seed(0))
    rule = SpecGuard(root=20, every=2)
    first = rule(updates, context=CONTEXT).state
    assert isinstance(first, SpecGuardState)
    torch.testing.assert_close(first.directions @ first.directions.T, torch.eye(5))
    moved = replace(CONTEXT, model=models.random_weights("net", 3))
    written = state.from_bytes(state.to_bytes(first), SpecGuardState)
    second = rule(updates, context=moved, state=written).state
    assert isinstance(second, SpecGuardState)
    assert torch.equal(second.directions, first.directions)
    third = rule(updates, context=moved, state=second).state
    assert isinstance(third, SpecGuardState)
    assert not torch.equal(third.directions, first.directions)


def test_where_nobody_is_in_the_span_the_model_is_kept() -> None:
    result = SpecGuard()(torch.tensor([[0.0, 0, 1, 1]] * 3), state=AXES)
    assert not result.accepted.any()
    assert not result.update.any()


def test_what_it_needs() -> None:
    assert SpecGuard(root=40).root_samples == 40
    with pytest.raises(UnfitRound, match="specguard needs to know the round's root"):
        SpecGuard()(torch.ones(3, 4))
    with pytest.raises(InvalidValue, match="specguard:directions"):
        SpecGuard(root=3)
