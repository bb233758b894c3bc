import pytest
import torch

from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import FedAvg, RoundContext, parse

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
    with pytest.raises(UnfitRound, match="needs to know the round's weights"):
        FedAvg(weighted=True)(UPDATES)


def test_the_bound_leaves_room_for_every_row() -> None:
    with pytest.raises(InvalidValue, match="1 to 4096"):
        FedAvg(weighted=True, bound=4097)
    updates = torch.tensor([[torch.finfo(torch.float32).max], [1.0]])
    counts = torch.tensor([4096, 1])
    assert FedAvg(weighted=True, bound=4096)(updates, counts).update.isfinite().all()


def test_counts_that_are_cut_are_remarked_on() -> None:
    """Whichever way the rule is run: at once, over the usable rows, behind pre-aggregators."""
    counts = torch.tensor([3000, 500, 2000, 1000])
    remark = (
        "fedavg counts 1000 samples for {} of {} participants that report more, 3000 at most; "
        "fedavg:bound=N changes that, 4096 at most"
    )
    rule, rows = FedAvg(weighted=True), torch.ones(4, 2)
    assert rule(rows, counts).remarks == (remark.format(2, 4),)
    assert rule.combine(rows, RoundContext(weights=counts)).remarks == (remark.format(2, 4),)
    assert rule.remarks_on(counts.tolist()) == (remark.format(2, 4),)
    for text in ("nnm/fedavg:weighted=true", "clipping:bound=0.1/fedavg:weighted=true"):
        assert parse(text)(rows, counts).remarks == (remark.format(2, 4),)
    rows[2, 0] = torch.nan
    assert rule(rows, counts).remarks == (remark.format(1, 3),)


@pytest.mark.parametrize("rule", [FedAvg(), FedAvg(weighted=True, bound=3000)])
def test_counts_that_are_not_cut_are_not_remarked_on(rule: FedAvg) -> None:
    assert rule(UPDATES, torch.tensor([3000, 500])).remarks == ()
