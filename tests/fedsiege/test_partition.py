"""Shares have the promised size, skew and independence, and are the same on every worker."""

import numpy as np
import pytest

from fedsiege import partition
from fedsiege.errors import InvalidValue

LABELS = np.random.default_rng(0).integers(0, 10, 6_000)
DISJOINT = ["iid", "dirichlet:0.1", "dirichlet:1e-06", "dirichlet:100"]


@pytest.mark.parametrize("text", ["sample", *DISJOINT])
def test_shares_come_from_the_seed_alone(text: str) -> None:
    first, again, other = (
        list(partition.create(text).assign(LABELS, 20, 8, seed)) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("text", ["sample", *DISJOINT])
def test_each_participant_gets_the_number_asked_for(text: str) -> None:
    shares = partition.create(text).assign(LABELS, 20, 8, 0)
    assert len(shares) == 20
    for share in shares:
        assert share.shape == (8,)
        assert share.dtype == np.int64
        assert 0 <= share.min() <= share.max() < len(LABELS)


@pytest.mark.parametrize("text", DISJOINT)
@pytest.mark.parametrize(("participants", "samples"), [(20, 8), (600, 10), (6_000, 1), (1, 6_000)])
def test_no_sample_is_given_twice_and_the_last_one_can_be_given(
    text: str, participants: int, samples: int
) -> None:
    shares = partition.create(text).assign(LABELS, participants, samples, 0)
    dealt = np.concatenate(list(shares))
    assert len(np.unique(dealt)) == len(dealt) == participants * samples


@pytest.mark.parametrize("text", DISJOINT)
@pytest.mark.parametrize("participants", [1, 7, 1_000, 6_000])
def test_zero_samples_share_out_everything_and_leave_nobody_empty(
    text: str, participants: int
) -> None:
    shares = partition.create(text).assign(LABELS, participants, 0, 0)
    assert len(shares) == participants
    assert min(len(share) for share in shares) >= 1
    assert np.array_equal(np.sort(np.concatenate(list(shares))), np.arange(len(LABELS)))


def test_shares_of_everything_are_equal_for_iid_and_vary_for_dirichlet() -> None:
    sizes = {
        text: {len(share) for share in partition.create(text).assign(LABELS, 7, 0, 0)}
        for text in ("iid", "dirichlet:0.5")
    }
    assert sizes["iid"] == {857, 858}
    assert len(sizes["dirichlet:0.5"]) > 2


def test_a_draw_depends_on_the_seed_and_the_participant_alone() -> None:
    few = partition.create("sample").assign(LABELS, 5, 16, 3)
    many = partition.create("sample").assign(LABELS, 5_000, 16, 3)
    assert all(np.array_equal(few[i], many[i]) for i in range(5))
    assert not np.array_equal(few[0], few[1])


def test_draws_are_made_only_for_the_participants_looked_at() -> None:
    shares = partition.create("sample").assign(LABELS, 10**9, 4, 0)  # would never end otherwise
    assert shares[-1].shape == (4,)
    assert [len(share) for share in shares[5:7]] == [4, 4]
    with pytest.raises(IndexError):
        shares[10**9]


def test_drawing_is_with_replacement() -> None:
    share = partition.create("sample").assign(LABELS[:10], 1, 100, 0)[0]
    assert set(share.tolist()) == set(range(10))


def largest_class_share(text: str, samples: int) -> float:
    shares = partition.create(text).assign(LABELS, 40, samples, 0)
    return float(np.mean([np.bincount(LABELS[s], minlength=10).max() / len(s) for s in shares]))


@pytest.mark.parametrize("samples", [50, 0])
def test_a_smaller_alpha_skews_the_labels_more(samples: int) -> None:
    skews = [largest_class_share(f"dirichlet:{a}", samples) for a in (0.01, 0.5, 100)]
    assert skews[0] > 0.75
    assert skews[0] > skews[1] > skews[2]
    assert skews[2] < 0.25


def test_class_proportions_follow_the_data_sets_own() -> None:
    labels = np.repeat([0, 1], [1_000, 9_000])  # Hsu et al.: Dir(alpha * prior)
    shares = partition.create("dirichlet:1000").assign(labels, 40, 100, 0)
    assert np.mean([(labels[s] == 0).mean() for s in shares]) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("samples", [50, 0])
def test_a_share_is_not_sorted_by_class(samples: int) -> None:
    share = partition.create("dirichlet:100").assign(LABELS, 10, samples, 0)[0]
    changes = np.count_nonzero(np.diff(LABELS[share]))
    assert changes > len(share) / 2, "in batches of neighbours all would be of one class"


@pytest.mark.parametrize("text", ["sample", "iid", "dirichlet:0.1", "dirichlet:0.123456789"])
def test_a_partition_is_spelled_as_it_is_read(text: str) -> None:
    assert str(partition.create(text)) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("dirchlet:1", "did you mean dirichlet"),
        ("dirichlet:0", "1e-6 to 1e6"),
        ("dirichlet:nan", "1e-6 to 1e6"),
        ("dirichlet:-1", "1e-6 to 1e6"),
        ("dirichlet:inf", "1e-6 to 1e6"),
        ("dirichlet:much", "a number"),
        ("dirichlet:", "write it as"),
        ("dirichlet:beta=1", "it takes alpha"),
        ("iid:3", "it takes no parameters"),
    ],
)
def test_impossible_texts_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        partition.create(text)


@pytest.mark.parametrize(
    ("text", "participants", "samples", "problem"),
    [
        ("sample", 10, 0, "sample needs 1 or more"),
        ("sample", 0, 4, "participants=0"),
        ("sample", 10, -1, "samples=-1"),
        ("iid", 601, 10, "6,010 samples, the data set has 6,000"),
        ("dirichlet:1", 601, 10, "6,010 samples, the data set has 6,000"),
        ("iid", 6_001, 0, "6,001 samples, the data set has 6,000"),
        ("dirichlet:1", 6_001, 0, "6,001 samples, the data set has 6,000"),
    ],
)
def test_impossible_requests_are_refused_with_the_numbers(
    text: str, participants: int, samples: int, problem: str
) -> None:
    with pytest.raises(InvalidValue, match=problem):
        partition.create(text).assign(LABELS, participants, samples, 0)


@pytest.mark.parametrize("text", ["sample", "iid", "dirichlet:1"])
def test_an_empty_set_cannot_be_shared_out(text: str) -> None:
    with pytest.raises(InvalidValue, match="there must be samples"):
        partition.create(text).assign(LABELS[:0], 1, 1, 0)
