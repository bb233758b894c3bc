"""Memory by identity is bounded."""

import torch

from fedsiege.aggregation import memory


def test_places_are_found_by_identity() -> None:
    known, wanted = torch.tensor([7, 3, 9]), torch.tensor([9, 4, 7])
    assert memory.places(known, wanted).tolist() == [2, -1, 0]


def test_who_was_away_longest_is_forgotten_first() -> None:
    known, seen = torch.tensor([1, 2, 3, 4]), torch.tensor([5, 2, 4, 3])
    present = torch.tensor([1, 8])
    assert memory.absent(known, seen, present, limit=4).tolist() == [2, 3]
    assert memory.absent(known, seen, present, limit=1).tolist() == []
