"""What holds for every rule, of those that train or look for data: on a real model."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fedsiege import models, rules
from fedsiege.errors import UnfitRound
from fedsiege.rules import Aggregation, RoundContext
from fedsiege.training.base import Shard

TEXTS = ["fedredefense:iterations=1", "fltrust:root=10,batch=10,lr=0.01", "specguard:root=10"]
DRAW = torch.Generator().manual_seed(0)
MODEL = models.random_weights("net", 0)
ROOT = Shard(torch.randn(10, 1, 28, 28, generator=DRAW), torch.arange(10))


def updates_of(n: int, seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    common = torch.randn(len(MODEL), generator=draw)
    return 0.01 * (common + 0.5 * torch.randn(n, len(MODEL), generator=draw))


def aggregate(text: str, updates: Tensor, rows: Tensor | None = None) -> Aggregation:
    """Run a rule over the updates, or over those rows of them, in that order."""
    rows = torch.arange(len(updates)) if rows is None else rows
    context = RoundContext(
        participants=100 + rows,
        round_number=1,
        model=MODEL,
        architecture="net",
        layout=models.layout("net"),
        root=ROOT,
        seed=3,
    )
    return rules.parse(text)(updates[rows], context=context)


@pytest.fixture(params=TEXTS)
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_all_that_need_a_model_are_here() -> None:
    needing = {rule.name for rule in rules.registry if "architecture" in rule.needs}
    listed = {text.partition(":")[0] for text in TEXTS}
    assert needing == listed, "add a new rule that needs a model to TEXTS here"


def test_the_order_of_rows_does_not_matter(text: str) -> None:
    updates, order = updates_of(9), torch.tensor([3, 0, 5, 7, 1, 2, 4, 8, 6])
    straight, shuffled = aggregate(text, updates), aggregate(text, updates, order)
    torch.testing.assert_close(shuffled.update, straight.update, rtol=1e-5, atol=1e-8)
    assert torch.equal(shuffled.accepted, straight.accepted[order])


def test_input_is_neither_changed_nor_returned(text: str) -> None:
    updates = updates_of(9)
    updates[4, 7] = torch.nan
    before = updates.clone()
    aggregate(text, updates).update.fill_(7.0)
    assert torch.equal(updates.nan_to_num(9.0), before.nan_to_num(9.0))


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
def test_rows_that_are_not_finite_are_left_out_and_named(text: str, poison: float) -> None:
    updates, good = updates_of(9), torch.tensor([1, 2, 3, 4, 6, 7, 8])
    updates[0], updates[5, -1] = poison, poison
    result, without = aggregate(text, updates), aggregate(text, updates, good)
    torch.testing.assert_close(result.update, without.update, rtol=1e-6, atol=1e-9)
    assert not result.accepted[[0, 5]].any()
    assert torch.equal(result.accepted[good], without.accepted)
    assert result.scores is not None
    assert result.scores[[0, 5]].isnan().all()


def test_no_usable_row_is_an_unfit_round(text: str) -> None:
    with pytest.raises(UnfitRound, match="none of the 5 updates"):
        aggregate(text, torch.full((5, len(MODEL)), torch.nan))


def test_updates_of_zeros_give_zeros(text: str) -> None:
    assert not aggregate(text, torch.zeros(5, len(MODEL))).update.any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_floating_point_types(text: str, dtype: torch.dtype) -> None:
    updates = updates_of(5).to(dtype)
    found, expected = aggregate(text, updates), aggregate(text, updates.float())
    wanted = expected.update.to(dtype)
    torch.testing.assert_close(found.update, wanted, rtol=1e-5, atol=1e-8)
    assert torch.equal(found.accepted, expected.accepted)


def test_a_single_participant_is_no_accident(text: str) -> None:
    """It is followed or left out, by its own merit; never by a division by nothing."""
    result = aggregate(text, updates_of(1))
    assert result.update.isfinite().all()
    assert result.update.any() == bool(result.accepted.any())


def test_updates_of_another_size_are_refused(text: str) -> None:
    with pytest.raises(UnfitRound, match=r"\b12\b"):
        aggregate(text, torch.ones(5, 12))


def test_another_model_gives_another_answer(text: str) -> None:
    """The training is real: what it says depends on the model."""
    context = RoundContext(
        model=MODEL, architecture="net", layout=models.layout("net"), root=ROOT, round_number=1
    )
    other = dataclasses.replace(context, model=models.random_weights("net", 1))
    rule, updates = rules.parse(text), updates_of(5)
    first, second = (rule(updates, context=one).scores for one in (context, other))
    assert first is not None
    assert second is not None
    assert not torch.equal(first, second)
