"""DnC."""

import pytest
import torch

from fedsiege.errors import UnfitRound
from fedsiege.rules import DnC, FedAvg, RoundContext
from fedsiege.rules.dnc import projections


def test_scores_are_squared_projections_on_the_top_direction() -> None:
    """Centred, the rows are +-3 along the first axis and +-1 along the second."""
    updates = torch.tensor([[8.0, 5.0], [2.0, 5.0], [5.0, 6.0], [5.0, 4.0]])
    assert projections(updates).tolist() == pytest.approx([9, 9, 0, 0], abs=1e-9)


def test_scores_agree_with_a_singular_value_decomposition() -> None:
    updates = torch.randn(12, 3000, generator=torch.Generator().manual_seed(0)).double()
    centred = updates - updates.mean(dim=0)
    direction = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    torch.testing.assert_close(projections(updates), (centred @ direction).square())


def test_fakes_go_and_lose() -> None:
    honest = 0.1 + 0.05 * torch.randn(16, 30, generator=torch.Generator().manual_seed(0))
    updates = torch.cat([torch.full((4, 30), -2.0), honest])
    result = DnC(f=4)(updates)
    assert (FedAvg()(updates).update < 0).all()
    assert result.accepted.tolist() == [False] * 4 + [True] * 16
    torch.testing.assert_close(result.update, honest.mean(dim=0))


@pytest.mark.parametrize(("share", "out"), [(0.5, 1), (1.0, 2), (1.2, 3), (1.5, 3)])
def test_the_filter_says_how_many_go_for_each_hostile_participant(share: float, out: int) -> None:
    """f = 2: ceil(2 c) rows, those farthest along the line."""
    updates = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 9.0, 10.0, 11.0])[:, None] * torch.ones(4)
    result = DnC(f=2, filter=share)(updates)
    assert result.accepted.tolist() == [True] * (8 - out) + [False] * out


def test_an_empty_intersection_keeps_the_model() -> None:
    """Each coordinate accuses other rows; with one drawn at a time everyone is out in the end."""
    updates = 100 * torch.eye(5)
    result = DnC(f=2, iterations=60, subsample=1)(updates, context=RoundContext(seed=3))
    assert not result.accepted.any()
    assert result.update.tolist() == [0.0] * 5


def test_iterations_take_the_intersection() -> None:
    updates = 100 * torch.eye(9)
    few = DnC(f=1, iterations=1, subsample=1)(updates).accepted.sum()
    more = DnC(f=1, iterations=6, subsample=1)(updates).accepted.sum()
    assert few == 8
    assert more < few


def test_the_filter_must_leave_someone() -> None:
    with pytest.raises(UnfitRound, match="filter=3"):
        DnC(f=2, filter=3.0)(torch.ones(6, 2))
    with pytest.raises(UnfitRound, match="more than 4 updates, there are 4"):
        DnC(f=2)(torch.ones(4, 2))
