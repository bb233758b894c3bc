"""Weighted and clipped means, the median, and the update that keeps the model."""

import pytest
import torch

from fedsiege.numerics import means
from fedsiege.numerics.distances import row_norms
from fedsiege.rules.base import keep_model


def test_a_weighted_mean_divides_by_the_masses() -> None:
    updates = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1e30, 1e30]])
    weights, masses = torch.tensor([2.0, 1.0, 0.0]), torch.tensor([4.0, 1.0, 0.0])
    assert means.weighted_mean(updates, weights, masses).tolist() == pytest.approx([1.0, 1.6])


def test_clipping_keeps_direction_and_counts_only_the_accepted() -> None:
    updates = torch.tensor([[3.0, 4.0], [0.6, 0.8], [100.0, 0.0]])
    accepted = torch.tensor([True, True, False])
    mean = means.clipped_mean(updates, accepted, row_norms(updates), 2.5)
    torch.testing.assert_close(mean, torch.tensor([(1.5 + 0.6) / 2, (2.0 + 0.8) / 2]))


def test_a_bound_of_zero_gives_zero_and_not_nan() -> None:
    updates = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    everyone = torch.ones(3, dtype=torch.bool)
    mean = means.clipped_mean(updates, everyone, row_norms(updates), 0.0)
    assert mean.tolist() == [0.0, 0.0]


def test_the_median_of_an_even_number_averages_the_two_in_the_middle() -> None:
    assert means.median_of(torch.tensor([4.0, 1.0, 3.0, 100.0])) == 3.5


def test_keeping_the_model_accepts_no_row() -> None:
    kept = keep_model(torch.ones(3, 2))
    assert kept.update.tolist() == [0.0, 0.0]
    assert not kept.accepted.any()
