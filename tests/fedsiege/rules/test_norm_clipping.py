import pytest
import torch

from fedsiege.errors import UnfitRound
from fedsiege.rules import NormClipping

UPDATES = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])  # norms 5, 1, 0


def test_updates_are_clipped_to_the_bound_and_averaged() -> None:
    update = NormClipping(bound=2.5)(UPDATES).update
    torch.testing.assert_close(update, torch.tensor([0.5, 1.0]))


def test_short_updates_are_not_stretched() -> None:
    assert torch.equal(NormClipping(bound=100.0)(UPDATES).update, UPDATES.mean(dim=0))


def test_the_median_norm_where_nobody_says() -> None:
    assert torch.equal(NormClipping()(UPDATES).update, NormClipping(bound=1.0)(UPDATES).update)


def test_an_even_number_takes_the_mean_of_the_two_middle_norms() -> None:
    updates = torch.cat([UPDATES, torch.tensor([[0.0, 2.0]])])  # norms 5, 1, 0, 2
    assert torch.equal(NormClipping()(updates).update, NormClipping(bound=1.5)(updates).update)


def test_a_majority_that_does_nothing_leaves_nothing() -> None:
    update = NormClipping()(torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])).update
    assert update.abs().max() < 1e-30


def test_the_result_is_no_longer_than_the_bound() -> None:
    updates = 1e6 * torch.randn(10, 1000, generator=torch.Generator().manual_seed(0))
    assert NormClipping(bound=0.1)(updates).update.norm() <= 0.1
    aligned = updates[:1].repeat(10, 1)
    torch.testing.assert_close(NormClipping(bound=0.1)(aligned).update.norm(), torch.tensor(0.1))


def test_only_a_fixed_bound_streams() -> None:
    assert NormClipping(bound=2.0).streams
    assert NormClipping(bound=2.0).weight_of(norm=8.0, num_samples=1) == 0.25
    assert NormClipping(bound=2.0).weight_of(norm=0.0, num_samples=1) == 1.0
    assert not NormClipping().streams
    with pytest.raises(UnfitRound, match="all updates of the round"):
        NormClipping().weight_of(norm=1.0, num_samples=1)
