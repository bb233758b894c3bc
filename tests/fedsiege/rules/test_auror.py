"""Auror."""

import pytest
import torch

from fedsiege.rules import Auror, FedAvg


def cohort(n: int) -> torch.Tensor:
    return torch.randn(n, 60, generator=torch.Generator().manual_seed(0))


def test_who_stands_apart_in_most_indicative_features_goes() -> None:
    updates = torch.cat([torch.full((4, 60), 50.0), cohort(16)])
    result = Auror()(updates)
    assert FedAvg()(updates).update.min() > 8
    assert result.accepted.tolist() == [False] * 4 + [True] * 16
    torch.testing.assert_close(result.update, cohort(16).mean(dim=0))
    assert result.scores is not None
    assert result.scores[:4].tolist() == [1.0] * 4


def test_by_hand() -> None:
    """Only the first column is indicative; there the first row is the smaller cluster."""
    updates = torch.tensor([[9.0, 0.4], [0.0, 0.5], [0.1, 0.6], [0.2, 0.7], [0.1, 0.8]])
    result = Auror(alpha=1.0)(updates)
    assert result.accepted.tolist() == [False, True, True, True, True]
    assert result.scores is not None
    assert result.scores.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_a_minority_below_the_others_is_found_too() -> None:
    updates = torch.tensor([[0.0], [9.0], [9.1], [9.2]])
    assert Auror(alpha=1.0)(updates).accepted.tolist() == [False, True, True, True]


def test_of_equal_halves_neither_is_suspicious() -> None:
    updates = torch.tensor([[0.0], [0.1], [9.0], [9.1]])
    assert Auror(alpha=1.0)(updates).accepted.all()


def test_it_says_where_there_is_no_minority() -> None:
    assert Auror().remark(2) == "auror suspects no update among fewer than 3, 2"
    assert Auror(alpha=1.0)(torch.tensor([[0.0], [9.0]])).update.item() == 4.5
    assert Auror().remark(3) == ""


def test_without_an_indicative_feature_nobody_is_suspected() -> None:
    result = Auror(alpha=1e9)(cohort(10))
    assert result.accepted.all()
    torch.testing.assert_close(result.update, cohort(10).mean(dim=0))


def test_honest_participants_are_rarely_suspected() -> None:
    assert Auror()(cohort(40)).accepted.all()


def test_who_takes_turns_in_being_the_minority_goes_together() -> None:
    """Each of the first three is suspicious in two of three coordinates: two of five are left."""
    updates = torch.tensor([[9.0, 0, 9], [9, 9, 0], [0, 9, 9], [0, 0, 0], [0, 0, 0]])
    result = Auror(alpha=1.0)(updates)
    assert result.accepted.tolist() == [False, False, False, True, True]
    assert result.scores is not None
    assert result.scores[:3].tolist() == pytest.approx([2 / 3] * 3)
