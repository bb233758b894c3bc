"""Shares have the promised size, skew and independence, and are the same on every worker."""

import hashlib

import numpy as np
import pytest

from fedsiege import partitions
from fedsiege.errors import InvalidValue
from tests.cases import each

LABELS = np.random.default_rng(0).integers(0, 10, 6_000)
SHARED_OUT = ["iid", "dirichlet:0.1", "dirichlet:1e-06", "dirichlet:100"]
DISJOINT = [*SHARED_OUT, "dirichlet-prior:0.1", "dirichlet-prior:1e-06", "dirichlet-prior:100"]
#: Those whose shares are neither of one size nor of all labels, as their own tests say.
UNEQUAL = ["pathological:3", "quantity:0.1", "natural"]
GROUPS = np.arange(6_000) // 40


@each("text", ["sample", *DISJOINT, *UNEQUAL])
def test_shares_come_from_the_seed_alone(text: str) -> None:
    first, again, other = (
        list(partitions.parse(text).assign(LABELS, 20, 8, seed, GROUPS)) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@each("text", ["sample", *DISJOINT])
def test_each_participant_gets_the_number_asked_for(text: str) -> None:
    shares = partitions.parse(text).assign(LABELS, 20, 8, 0)
    assert len(shares) == 20
    for share in shares:
        assert share.shape == (8,)
        assert share.dtype == np.int64
        assert 0 <= share.min() <= share.max() < len(LABELS)


@each("text", DISJOINT)
@each(("participants", "samples"), [(20, 8), (600, 10), (6_000, 1), (1, 6_000)])
def test_no_sample_is_given_twice_and_the_last_one_can_be_given(
    text: str, participants: int, samples: int
) -> None:
    shares = partitions.parse(text).assign(LABELS, participants, samples, 0)
    dealt = np.concatenate(list(shares))
    assert len(np.unique(dealt)) == len(dealt) == participants * samples


@each("text", UNEQUAL)
@each("samples", [0, 24])
@each("participants", [10, 37, 150])
def test_unequal_shares_are_disjoint_and_none_is_empty(
    text: str, participants: int, samples: int
) -> None:
    shares = partitions.parse(text).assign(LABELS, participants, samples, 0, GROUPS)
    dealt = np.concatenate(list(shares))
    assert len(shares) == participants
    assert min(len(share) for share in shares) >= 1
    assert len(np.unique(dealt)) == len(dealt)
    assert len(dealt) == (participants * samples if samples else len(LABELS))
    assert all(share.dtype == np.int64 for share in shares)


@each("text", SHARED_OUT)
@each("participants", [1, 7, 1_000, 6_000])
def test_zero_samples_share_out_everything_and_leave_nobody_empty(
    text: str, participants: int
) -> None:
    shares = partitions.parse(text).assign(LABELS, participants, 0, 0)
    assert len(shares) == participants
    assert min(len(share) for share in shares) >= 1
    assert np.array_equal(np.sort(np.concatenate(list(shares))), np.arange(len(LABELS)))


def test_shares_of_everything_are_equal_for_iid_and_vary_for_dirichlet() -> None:
    sizes = {
        text: {len(share) for share in partitions.parse(text).assign(LABELS, 7, 0, 0)}
        for text in ("iid", "dirichlet:0.5")
    }
    assert sizes["iid"] == {857, 858}
    assert len(sizes["dirichlet:0.5"]) > 2


def test_a_draw_depends_on_the_seed_and_the_participant_alone() -> None:
    few = partitions.parse("sample").assign(LABELS, 5, 16, 3)
    many = partitions.parse("sample").assign(LABELS, 5_000, 16, 3)
    assert all(np.array_equal(few[i], many[i]) for i in range(5))
    assert not np.array_equal(few[0], few[1])


def test_draws_are_made_only_for_the_participants_looked_at() -> None:
    shares = partitions.parse("sample").assign(LABELS, 10**9, 4, 0)  # would never end otherwise
    assert shares[-1].shape == (4,)
    assert [len(share) for share in shares[5:7]] == [4, 4]
    with pytest.raises(IndexError):
        shares[10**9]


def test_drawing_is_with_replacement() -> None:
    share = partitions.parse("sample").assign(LABELS[:10], 1, 100, 0)[0]
    assert set(share.tolist()) == set(range(10))


def largest_class_share(
    text: str, samples: int, participants: int = 40, labels: partitions.Labels = LABELS
) -> float:
    shares = partitions.parse(text).assign(labels, participants, samples, 0)
    return float(np.mean([np.bincount(labels[s], minlength=10).max() / len(s) for s in shares]))


@pytest.mark.parametrize(
    ("name", "samples"), [("dirichlet", 50), ("dirichlet", 0), ("dirichlet-prior", 50)]
)
def test_a_smaller_alpha_skews_the_labels_more(name: str, samples: int) -> None:
    skews = [largest_class_share(f"{name}:{a}", samples) for a in (0.01, 0.5, 100)]
    assert skews[0] > 0.75
    assert skews[0] > skews[1] > skews[2]
    assert skews[2] < 0.25


def test_with_samples_the_skew_is_that_of_the_literatures_dirichlet() -> None:
    """E[max Dir(.1, .., .1)] is .67 with ten classes; that of Dir(.1 * prior) is well above."""
    drawn = np.random.default_rng(0).dirichlet([0.1] * 10, 100_000).max(axis=1).mean()
    assert drawn == pytest.approx(0.67, abs=0.01)
    many = np.random.default_rng(0).integers(0, 10, 60_000)
    assert largest_class_share("dirichlet:0.1", 60, 200, many) == pytest.approx(drawn, abs=0.02)
    assert largest_class_share("dirichlet-prior:0.1", 60, 200, many) == pytest.approx(
        0.91, abs=0.04
    )
    # With few participants the pieces of a class are large ones, and shares less skewed.
    assert largest_class_share("dirichlet:0.1", 0, 20, many) == pytest.approx(0.62, abs=0.04)


def test_the_older_drawing_is_bit_for_bit_the_one_of_the_committed_results() -> None:
    """Pinned: until 0.1.0 its name was dirichlet."""
    uneven = np.repeat([0, 1, 2], [500, 1_500, 4_000])
    expected = {
        "0.1": ("2d018e3699402581", "b7c187dcb1d1f5e5"),
        "1": ("da0be71dda1b78e5", "57d2f8b84b16d692"),
    }
    for alpha, digests in expected.items():
        for labels, digest in zip((LABELS, uneven), digests, strict=True):
            shares = partitions.parse(f"dirichlet-prior:{alpha}").assign(labels, 50, 60, 1)
            dealt = b"".join(share.tobytes() for share in shares)
            assert hashlib.sha256(dealt).hexdigest()[:16] == digest


def test_class_proportions_follow_the_prior_only_where_the_name_says_so() -> None:
    labels = np.repeat([0, 1], [1_000, 9_000])  # Hsu et al.: Dir(alpha * prior)
    for text, expected in (("dirichlet-prior:1000", 0.1), ("dirichlet:1000", 0.5)):
        shares = partitions.parse(text).assign(labels, 10, 100, 0)
        mean = np.mean([(labels[share] == 0).mean() for share in shares])
        assert mean == pytest.approx(expected, abs=0.03), text


@pytest.mark.parametrize("samples", [50, 0])
def test_a_share_is_not_sorted_by_class(samples: int) -> None:
    share = partitions.parse("dirichlet:100").assign(LABELS, 10, samples, 0)[0]
    changes = np.count_nonzero(np.diff(LABELS[share]))
    assert changes > len(share) / 2, "in batches of neighbours all would be of one class"


@pytest.mark.parametrize(
    "text",
    [
        *("sample", "iid", "dirichlet:0.1", "dirichlet:0.123456789", "dirichlet-prior:0.1"),
        *("pathological:2", "quantity:0.5", "natural"),
    ],
)
def test_a_partition_is_spelled_as_it_is_read(text: str) -> None:
    assert str(partitions.parse(text)) == text


@each(
    ("text", "problem"),
    [
        ("dirchlet:1", "did you mean dirichlet"),
        ("dirichlet:0", "dirichlet:alpha='0' .*1e-06 to 1e\\+06"),
        ("dirichlet-prior:0", "dirichlet-prior:alpha='0' .*1e-06 to 1e\\+06"),
        ("dirichlet:nan", r"1e-06 to 1e\+06"),
        ("dirichlet:-1", r"1e-06 to 1e\+06"),
        ("dirichlet:inf", r"1e-06 to 1e\+06"),
        ("dirichlet:much", "a finite number"),
        ("dirichlet:", "write it as"),
        ("dirichlet:beta=1", "it takes alpha"),
        ("iid:3", "write it as iid"),
    ],
)
def test_impossible_texts_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        partitions.parse(text)


@each(
    ("text", "participants", "samples", "problem"),
    [
        ("sample", 10, 0, "sample needs 1 or more; dirichlet, iid, natural, .* share out all"),
        (
            "dirichlet-prior:1",
            10,
            0,
            "dirichlet-prior needs 1 or more; dirichlet, iid, .*share",
        ),
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
        partitions.parse(text).assign(LABELS, participants, samples, 0)


@pytest.mark.parametrize("text", ["sample", "iid", "dirichlet:1", "dirichlet-prior:1", *UNEQUAL])
def test_an_empty_set_cannot_be_shared_out(text: str) -> None:
    with pytest.raises(InvalidValue, match="there must be samples"):
        partitions.parse(text).assign(LABELS[:0], 1, 1, 0)
