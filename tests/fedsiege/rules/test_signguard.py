"""SignGuard."""

import pytest
import torch

from fedsiege.errors import UnfitRound
from fedsiege.rules import FedAvg, SignGuard
from fedsiege.rules.signguard import sign_shares


def cohort(n: int, d: int = 400) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.1 + 0.1 * torch.randn(n, d, generator=generator)


def test_shares_of_signs_by_hand() -> None:
    window = torch.tensor([[1.0, 2.0, 0.0, -1.0], [3.0, 0.0, -1.0, -1.0]])
    assert sign_shares(window).tolist() == [[1.0, 1.0, 0.5], [0.5, 1.0, 1.0]]


def test_turned_signs_go_though_their_norm_is_usual() -> None:
    updates = torch.cat([-cohort(4), cohort(16)])
    updates[:4] *= 3 / 1.1  # below the bound of 3 times the median
    result = SignGuard(share=1.0)(updates)
    assert not result.accepted[:4].any()
    assert result.accepted[4:].sum() >= 10
    assert result.update.mean() > 0.08


def test_the_norm_test_comes_before_clipping() -> None:
    """Clipped first, a row of 1000 times the norm would look like any other."""
    updates = cohort(20)
    updates[0] *= 1000
    updates[1] *= 0.01
    result = SignGuard()(updates)
    assert not result.accepted[:2].any()
    assert FedAvg()(updates).update.norm() > 10 * result.update.norm()


@pytest.mark.parametrize(
    ("norm", "usual"), [(0.09, False), (0.11, True), (1.0, True), (2.9, True), (3.1, False)]
)
def test_usual_norms_are_a_tenth_to_three_times_the_median(norm: float, usual: bool) -> None:
    updates = torch.ones(9, 4) / 2
    updates[0] *= norm
    assert SignGuard()(updates).accepted.tolist() == [usual] + [True] * 8


def test_rows_are_clipped_to_the_median_of_all() -> None:
    direction = torch.ones(4) / 2
    updates = direction * torch.tensor([1.0, 2.0, 2.0, 4.0])[:, None]
    expected = direction * (1 + 2 + 2 + 2) / 4
    torch.testing.assert_close(SignGuard()(updates).update, expected)


def test_zeros_are_averaged_and_not_divided_by() -> None:
    assert SignGuard()(torch.zeros(4, 3)).update.tolist() == [0.0] * 3


def test_where_both_tests_leave_nobody_the_model_is_kept() -> None:
    """The largest cluster of signs is of rows with impossible norms, and the others differ."""
    cluster = torch.tensor([0.001, 0.001, 100.0, 100.0])[:, None].expand(-1, 4)
    others = torch.tensor([[-1.0, -1, -1, -1], [1, 1, -1, -1], [1, -1, 0, 0]])
    updates = torch.cat([cluster, torch.nn.functional.normalize(others)])
    result = SignGuard(share=1.0)(updates)
    assert not result.accepted.any()
    assert result.update.tolist() == [0.0] * 4


@pytest.mark.parametrize("d", [1, 3])
def test_a_window_has_at_least_one_coordinate(d: int) -> None:
    assert SignGuard()(torch.ones(5, d)).update.tolist() == [1.0] * d


@pytest.mark.parametrize("n", [1, 2, 3])
def test_of_so_few_each_is_a_cluster_of_its_own(n: int) -> None:
    """So one row with nothing but positive signs would be the update."""
    with pytest.raises(UnfitRound, match=f"at least 4 updates, there are {n}"):
        SignGuard().for_participants(n)
    with pytest.raises(UnfitRound):
        SignGuard()(cohort(n))
    SignGuard()(cohort(4))
