"""The hard tests, each on made-up features, and when it is in force."""

import pytest
import torch

from fedsiege.rules.sentinel import hard_tests
from fedsiege.rules.sentinel.layers import zero_shares


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def flagged(flags: torch.Tensor) -> list[int]:
    return flags.nonzero().flatten().tolist()


def test_class_sums_that_no_softmax_makes() -> None:
    assert flagged(hard_tests.class_sum_flags(column(1e-6, 1e-6, 2e-2, 9e-3, 1e-7))) == [2]


def test_class_sums_count_only_where_most_have_none() -> None:
    assert flagged(hard_tests.class_sum_flags(column(0.5, 0.5, 1e-6, 0.5, 1e-6))) == []
    assert flagged(hard_tests.class_sum_flags(torch.zeros(5, 0))) == []


def test_common_zeros_are_zero_in_half_of_the_updates() -> None:
    """Of 4 coordinates the second and third are dead; the last row moves one of the two."""
    updates = torch.tensor([[1.0, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 1], [1, 0, 1, 1]])
    assert zero_shares(updates).tolist() == [1.0, 1.0, 0.0, 0.5]
    assert flagged(hard_tests.zero_flags(zero_shares(updates))) == [2]


def test_few_common_zeros_do_not_count() -> None:
    updates = torch.ones(5, 1000)
    updates[:4, :4] = 0
    assert not zero_shares(updates).any()
    updates[:4, :5] = 0
    assert zero_shares(updates).tolist() == [1, 1, 1, 1, 0]


def test_common_zeros_count_only_if_most_keep_them() -> None:
    shares = torch.tensor([0.0, 0.5, 0.4, 0.5, 1.0]).double()
    assert flagged(hard_tests.zero_flags(shares)) == []
    assert flagged(hard_tests.zero_flags(shares + 0.1 * (shares > 0))) == [0]


def test_common_zeros_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = torch.randn(20, 300, generator=torch.Generator().manual_seed(0)).relu()
    updates[:15, 50:250] = 0
    whole = zero_shares(updates)
    monkeypatch.setattr("fedsiege.rules.sentinel.layers._ZEROS_BLOCK", 20 * 7)
    torch.testing.assert_close(zero_shares(updates), whole)
    assert whole[0] > whole[-1]


def test_a_spectrum_without_dominant_directions() -> None:
    shares = torch.tensor([[0.9, 0.7], [0.8, 0.8], [0.5, 0.4], [0.9, 0.8], [0.6, 0.4]]).double()
    assert flagged(hard_tests.spectrum_flags(shares)) == [2]  # .45 < .6 * .8, .5 is not
    assert flagged(hard_tests.spectrum_flags(shares * 0.4)) == []  # the median is .32
    assert flagged(hard_tests.spectrum_flags(torch.zeros(5, 0))) == []


def test_biases_that_do_not_go_with_the_weights() -> None:
    """The first layer's inputs are negative for everyone: there it is the sign of the most."""
    cosines = torch.tensor([[-0.9, 0.9], [-0.8, 0.9], [-0.9, 0.8], [0.9, 0.9], [-0.5, 0.4]])
    assert flagged(hard_tests.coherence_flags(cosines.double())) == [3]
    assert flagged(hard_tests.coherence_flags(cosines.double() * 0.5)) == []
    assert flagged(hard_tests.coherence_flags(column(0.8, 0.9, 1.0, 0.15, 0.17))) == [3]
    assert flagged(hard_tests.coherence_flags(torch.zeros(5, 0))) == []


def test_other_proportions_than_the_majority() -> None:
    """c = -1 and s < .25: z = |x + 1| / .25, at most 10. RMS over two features."""
    profile = torch.full((9, 2), -1.0).double()
    profile[0] = torch.tensor([-1.9, -1.9])  # z 3.6 and 3.6
    profile[1] = torch.tensor([-1.8, -1.8])  # 3.2 and 3.2
    profile[2] = torch.tensor([-9.0, -1.0])  # 10 and 0: 7.07
    profile[3] = torch.tensor([-2.2, -1.0])  # 4.8 and 0: 3.39
    assert flagged(hard_tests.profile_flags(profile)) == [0, 2]


def test_far_longer_than_the_majority() -> None:
    """The majority is within 1.4 of each other: too far is 2.8 times their middle, e^(4 x 0.25)."""
    norms = torch.tensor([1.0, 1.1, 1.2, 1.3, 1.4, 3.2, 3.4, 0.01]).double()
    none = norms[:0]
    assert flagged(hard_tests.norm_flags(norms, none)) == [6]
    assert flagged(hard_tests.norm_flags(1e-9 * norms, none)) == [6]
    scattered = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]).double()
    assert flagged(hard_tests.norm_flags(scattered, none)) == []


def test_the_majority_includes_absent_participants() -> None:
    """Of those present most are long, but not of all with a say."""
    present = torch.tensor([1.0, 1.1, 6.0, 6.1, 6.2]).double()
    away = torch.tensor([0.9, 1.0, 1.2, 1.1]).double()
    assert flagged(hard_tests.norm_flags(present, away)) == [2, 3, 4]
    assert flagged(hard_tests.norm_flags(present, away[:0])) == []


def test_the_shorth_is_where_most_are() -> None:
    centre, deviation = hard_tests.shorth(column(0, 1, 2, 3, 100, 101, 200))
    assert centre.item() == pytest.approx(1.5)
    assert deviation.item() == pytest.approx(1.5 * 1.4826)
    centre, _ = hard_tests.shorth(column(-7, 5, 5.5, 6))
    assert centre.item() == pytest.approx(5.5)


def test_fakes_that_are_fewer_than_half_cannot_move_the_shorth() -> None:
    honest = torch.randn(11, 3, generator=torch.Generator().manual_seed(0)).double()
    centre, _ = hard_tests.shorth(torch.cat([honest, torch.full((10, 3), 50.0).double()]))
    assert (centre.abs() < 2).all()


def test_duplicates_are_of_one_direction() -> None:
    cosines = torch.eye(4).double()
    cosines[0, 1] = cosines[1, 0] = 0.999995
    cosines[2, 3] = cosines[3, 2] = 0.9999  # two with the same class, after a few steps
    assert flagged(hard_tests.duplicate_flags(cosines)) == [0, 1]


def test_if_most_fail_only_the_independent_tests_count() -> None:
    failed = {
        "class-sum": torch.tensor([True, False, False, False, False]),
        "spectrum": torch.tensor([False, True, True, False, False]),
        "duplicate": torch.tensor([False, False, False, False, False]),
    }
    assert flagged(hard_tests.hard_flags(failed, 5)) == [0, 1, 2]  # 60 % and no more
    failed["profile"] = torch.tensor([False, False, False, True, False])
    assert flagged(hard_tests.hard_flags(failed, 5)) == [0]
    assert flagged(hard_tests.hard_flags({}, 5)) == []
