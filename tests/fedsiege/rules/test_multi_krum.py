import torch

from fedsiege.rules import FedAvg, Krum, MultiKrum

#: The Krum scores with f = 1 are 10, 5, 13, 52, 458: see test_krum.py.
UPDATES = torch.tensor([[0.0], [1.0], [3.0], [7.0], [20.0]])


def test_m_is_n_minus_f_where_nobody_says() -> None:
    result = MultiKrum(f=1)(UPDATES)
    assert result.accepted.tolist() == [True, True, True, True, False]
    assert result.update.tolist() == [(0.0 + 1.0 + 3.0 + 7.0) / 4]
    assert result.scores is not None
    assert result.scores.tolist() == [10.0, 5.0, 13.0, 52.0, 458.0]


def test_m_best_are_averaged() -> None:
    result = MultiKrum(f=1, m=2)(UPDATES)
    assert result.accepted.tolist() == [True, True, False, False, False]
    assert result.update.tolist() == [0.5]


def test_of_equal_scores_the_first_rows_are_taken() -> None:
    result = MultiKrum(f=0, m=2)(torch.tensor([[4.0], [2.0], [0.0]]))
    assert result.accepted.tolist() == [True, True, False]


def test_one_is_krum_and_all_is_the_mean() -> None:
    updates = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(MultiKrum(m=1)(updates).update, Krum()(updates).update)
    assert torch.equal(MultiKrum(m=20)(updates).update, FedAvg()(updates).update)


def test_it_says_where_there_is_room_for_hostile_ones() -> None:
    assert MultiKrum(f=2, m=20).remark(20) == (
        "multi-krum averages m=20 updates, but takes only 18 for honest"
    )
    assert "plain mean" in MultiKrum(f=0).remark(20)
    assert "plain mean" in MultiKrum(f=0, m=20).remark(20)
    assert MultiKrum(f=0, m=19).remark(20) == ""
    assert MultiKrum(f=2, m=18).remark(20) == ""
    assert MultiKrum(f=2).remark(20) == ""
