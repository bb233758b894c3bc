"""FoundationFL."""

import pytest
import torch

from fedsiege.errors import InvalidValue
from fedsiege.rules import FedAvg, FoundationFL
from fedsiege.rules.foundationfl import extremity


def test_scores_are_distances_to_the_nearer_extreme() -> None:
    updates = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])
    assert extremity(updates).tolist() == [0.0, 0.0, 3.0]


def test_copies_of_the_row_with_the_highest_score_join() -> None:
    """Scores 0, 0, 3, 1.5: two copies of the third. Medians of 0 3 3 1.5 3 3 and 0 4 0 0 0 0."""
    updates = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0], [1.5, 0.0]])
    assert FoundationFL()(updates).update.tolist() == [3.0, 0.0]
    # f = 1: the middle four of 0 1.5 3 3 3 3 and of 0 0 0 0 0 4
    assert FoundationFL(f=1, then="trimmed-mean")(updates).update.tolist() == [2.625, 0.0]


def test_blocks_of_columns_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = torch.randn(9, 700, generator=torch.Generator().manual_seed(0))
    whole = FoundationFL()(updates).update
    monkeypatch.setattr("fedsiege.rules.foundationfl.SORTED_BLOCK", 200)
    assert torch.equal(FoundationFL()(updates).update, whole)


def attacked(fakes: int, scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    honest = 0.1 * torch.randn(100 - fakes, 200, generator=generator)
    step = scale * torch.randn(1, 200, generator=generator)
    return torch.cat([step.repeat(fakes, 1), honest])


def test_a_few_fakes_win_under_fedavg_and_lose_here() -> None:
    updates = attacked(10, 1e3)
    honest = updates[10:].norm(dim=1).mean()
    assert FedAvg()(updates).update.norm() > 100 * honest
    assert FoundationFL()(updates).update.norm() < 2 * honest


def test_at_scale_one_or_more_the_copied_row_may_be_a_fake() -> None:
    """What the paper hopes for does not hold, and a quarter of fakes then wins."""
    updates = attacked(30, 1.0)
    result = FoundationFL()(updates)
    assert result.scores is not None
    assert int(result.scores.argmax()) < 30
    fooled = torch.cosine_similarity(result.update, updates[0], dim=0)
    assert fooled > 0.9


def test_then_is_a_rule_it_knows() -> None:
    with pytest.raises(InvalidValue, match="median or trimmed-mean"):
        FoundationFL(then="krum")


def test_a_trimmed_mean_with_copies_of_a_fake_does_not_defend() -> None:
    """Ten fakes and 50 copies of one, of which f = 20 are trimmed."""
    updates = attacked(10, 1e3)
    rule = FoundationFL(then="trimmed-mean")
    result = rule(updates)
    assert torch.cosine_similarity(result.update, updates[0], dim=0) > 0.9
    assert result.update.norm() > 100 * updates[10:].norm(dim=1).mean()
    assert rule.remark(100).startswith("foundationfl with then=trimmed-mean does not defend")
    assert FoundationFL().remark(100) == ""
