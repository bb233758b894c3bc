"""The rule as a whole: what it takes, refuses, rejects and keeps."""

import pytest
import torch
from torch.nn.functional import normalize

from fedsiege import rules
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import Aggregation, RoundContext, Sentinel
from fedsiege.rules.sentinel import STEPS, SentinelState
from tests.cases import each

LAYOUT = (("fc.weight", (10, 30)), ("fc.bias", (10,)))
D = 310


def honest(n: int, seed: int = 0) -> torch.Tensor:
    """A common direction and noise of the same length, both with class sums of zero."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n + 1, 10, 31, generator=generator)
    rows -= rows.mean(dim=1, keepdim=True)
    flat = normalize(torch.cat([rows[:, :, :30].flatten(1), rows[:, :, 30]], dim=1), dim=1)
    return flat[0] + flat[1:]


def noise(n: int, seed: int = 1) -> torch.Tensor:
    return normalize(torch.randn(n, D, generator=torch.Generator().manual_seed(seed)), dim=1)


def aggregate(updates: torch.Tensor, text: str = "sentinel") -> Aggregation:
    return rules.parse(text)(updates, context=RoundContext(layout=LAYOUT))


def test_fakes_get_no_weight_and_lose() -> None:
    target = honest(12).mean(dim=0)
    updates = torch.cat([50 * (noise(1) + 0.3 * noise(8, seed=2)), honest(12)])
    result = aggregate(updates)
    assert result.accepted.tolist() == [False] * 8 + [True] * 12
    fedavg = rules.create("fedavg")(updates).update
    assert torch.cosine_similarity(fedavg, target, dim=0) < 0.3
    assert torch.cosine_similarity(result.update, target, dim=0) > 0.99


def test_scores_rank_fakes_above_the_rest() -> None:
    result = aggregate(torch.cat([noise(3), honest(9)]))
    assert result.scores is not None
    assert result.scores[:3].min() >= 1
    assert result.scores[3:].max() < 0.75


def test_long_updates_are_clipped_to_the_median_length_of_those_accepted() -> None:
    updates = normalize(honest(9), dim=1)
    longer = updates.clone()
    longer[0] *= 2
    updates[0] *= 1.25
    torch.testing.assert_close(
        aggregate(longer).update, aggregate(updates).update, atol=1e-6, rtol=0
    )
    unclipped = aggregate(longer, "sentinel:without=clipping").update
    assert unclipped.norm() > 1.05 * aggregate(longer).update.norm()


def test_the_update_is_the_weighted_mean_by_hand() -> None:
    """Nine at right angles, the last of length 2, and one with a cosine of 0.9 to the first."""
    rows = torch.eye(10)
    rows[8] *= 2
    rows[9] *= (1 - 0.9**2) ** 0.5
    rows[9, 0] = 0.9
    result = Sentinel()(rows, context=RoundContext(layout=[("weight", (10,))]))
    assert result.accepted.all()
    alike = (1 + 0.9**1.5) ** -1.2
    weights = torch.tensor([alike, 1, 1, 1, 1, 1, 1, 1, 1, alike])
    rows[8] /= 1.6  # clipped to 1.25
    expected = weights @ rows / weights.sum()
    torch.testing.assert_close(result.update, expected)
    assert result.scores is not None
    assert result.scores.tolist() == pytest.approx(((1 - weights) / 2).tolist())


def test_an_update_of_zeros_abstains() -> None:
    updates = honest(9)
    updates[4] = 0
    kept = torch.arange(9) != 4
    result = aggregate(updates)
    assert result.accepted.tolist() == kept.tolist()
    assert torch.equal(result.update, aggregate(updates[kept]).update)
    assert result.scores is not None
    assert result.scores[4] == 0
    assert isinstance(result.state, SentinelState)
    assert 4 not in result.state.identities


@pytest.mark.parametrize("value", [2e15, -2e15, torch.nan, torch.inf])
def test_rows_that_are_not_finite_or_too_large_are_rejected(value: float) -> None:
    updates = honest(9)
    updates[2, 7] = value
    kept = torch.arange(9) != 2
    result = aggregate(updates)
    assert result.accepted.tolist() == kept.tolist()
    clean = RoundContext(layout=LAYOUT, participants=kept.nonzero().flatten())
    assert torch.equal(result.update, Sentinel()(updates[kept], context=clean).update)
    assert result.scores is not None
    assert result.scores[2].isnan() or result.scores[2] == 2


@pytest.mark.parametrize("active", [0, 1, 2])
def test_fewer_than_three_that_move_anything_keep_the_model(active: int) -> None:
    updates = honest(5)
    updates[active:] = 0
    result = aggregate(updates)
    assert not result.update.any()
    assert not result.accepted.any()
    again = Sentinel()(honest(5), context=RoundContext(layout=LAYOUT), state=result.state)
    assert again.accepted.all()


def test_three_are_enough() -> None:
    assert aggregate(honest(3)).accepted.all()
    with pytest.raises(UnfitRound, match="sentinel needs 3 updates, there are 2"):
        aggregate(honest(2))


def test_without_an_accepted_update_the_model_is_kept() -> None:
    result = aggregate(honest(1).repeat(6, 1))
    assert not result.update.any()
    assert not result.accepted.any()
    assert isinstance(result.state, SentinelState)
    assert result.state.flagged.all()


def test_the_layout_is_required() -> None:
    with pytest.raises(UnfitRound, match="sentinel needs to know the round's layout"):
        Sentinel()(honest(5))
    with pytest.raises(UnfitRound, match="the layout has 310 weights, the updates have 300"):
        aggregate(honest(5)[:, :300])


@each("step", STEPS)
def test_every_step_can_be_left_out(step: str) -> None:
    rule = rules.parse(f"sentinel:without={step}")
    assert rules.parse(rules.spell(rule)) == rule
    assert rule(honest(20), context=RoundContext(layout=LAYOUT)).accepted.any()


def test_a_step_that_is_left_out_does_not_run() -> None:
    updates = torch.cat([honest(1).repeat(2, 1), honest(9, seed=3)])
    assert not aggregate(updates).accepted[:2].any()
    assert aggregate(updates, "sentinel:without=duplicate+direction").accepted[:2].all()


@pytest.mark.parametrize("text", ["without=nothing", "without=energy+", "remember=0"])
def test_unknown_steps_and_values_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        rules.parse(f"sentinel:{text}")
    assert refused.value.name == f"sentinel:{text.partition('=')[0]}"
