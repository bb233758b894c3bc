import pytest
import torch

from fedsiege.aggregation import FedAvg
from fedsiege.errors import InvalidValue, UnfitRound

UPDATES = torch.tensor([[0.0, 8.0], [4.0, 0.0]])


def test_the_mean() -> None:
    assert FedAvg()(UPDATES).update.tolist() == [2.0, 4.0]


def test_sample_counts_are_ignored_unless_weighted() -> None:
    assert FedAvg()(UPDATES, torch.tensor([1, 3])).update.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1, 3], [3.0, 2.0]),
        ([30, 10], [1.0, 6.0]),
        ([-5, 3], [3.0, 2.0]),  # below 1 counts as 1
        ([0, 0], [2.0, 4.0]),
        ([1000, 2**62], [2.0, 4.0]),  # a forged count is believed up to the bound
    ],
)
def test_weighted_by_bounded_sample_counts(counts: list[int], expected: list[float]) -> None:
    assert FedAvg(weighted=True)(UPDATES, torch.tensor(counts)).update.tolist() == expected


def test_the_bound_is_a_parameter() -> None:
    rule = FedAvg(weighted=True, bound=3)
    assert rule(UPDATES, torch.tensor([1, 1000])).update.tolist() == [3.0, 2.0]


def test_a_weighted_mean_without_counts_does_not_fall_back_to_the_mean() -> None:
    with pytest.raises(UnfitRound, match="needs the sample counts"):
        FedAvg(weighted=True)(UPDATES)


def test_the_bound_leaves_room_for_every_row() -> None:
    with pytest.raises(InvalidValue, match="1 to 4096"):
        FedAvg(weighted=True, bound=4097)
    updates = torch.tensor([[torch.finfo(torch.float32).max], [1.0]])
    counts = torch.tensor([4096, 1])
    assert FedAvg(weighted=True, bound=4096)(updates, counts).update.isfinite().all()
