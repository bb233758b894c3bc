"""Shares of a given number of classes."""

import numpy as np
import pytest

from fedsiege import partitions
from fedsiege.errors import InvalidValue

LABELS = np.random.default_rng(0).integers(0, 10, 6_000)
UNEVEN = np.repeat([0, 1, 2], [2_982, 260, 251])


def test_each_participant_has_exactly_so_many_classes_and_each_class_as_many_participants() -> None:
    for classes in (1, 2, 4, 7, 10):
        for participants in (10, 13, 50):
            for samples in (0, 21):
                rule = partitions.parse(f"pathological:{classes}")
                shares = rule.assign(LABELS, participants, samples, 3)
                held = [set(LABELS[share].tolist()) for share in shares]
                assert {len(one) for one in held} == {classes}
                holders = [sum(kind in one for one in held) for kind in range(10)]
                assert max(holders) - min(holders) <= 1, (classes, participants)


def test_a_class_is_cut_equally_and_samples_are_taken_equally_of_each() -> None:
    shares = partitions.parse("pathological:2").assign(UNEVEN, 9, 0, 0)
    for kind in range(3):
        pieces = [n for share in shares if (n := int((UNEVEN[share] == kind).sum()))]
        assert max(pieces) - min(pieces) <= 1
        assert sum(pieces) == (kind == UNEVEN).sum()
    for share in partitions.parse("pathological:3").assign(LABELS, 20, 61, 0):
        assert sorted(n for n in np.bincount(LABELS[share]) if n) == [20, 20, 21]


def test_a_class_that_is_used_up_is_made_up_for_by_the_others() -> None:
    # 7 participants at most have each class: 426, 37 and 35 samples of it, so 72 are sure.
    for share in partitions.parse("pathological:2").assign(UNEVEN, 10, 72, 0):
        counts = np.bincount(UNEVEN[share], minlength=3)
        assert counts.sum() == 72
        assert counts[1] <= 44
        assert counts[2] <= 42


def test_few_participants_leave_classes_out() -> None:
    shares = partitions.parse("pathological:2").assign(LABELS, 3, 0, 0)
    assert len(set(LABELS[np.concatenate(list(shares))].tolist())) == 6


def test_classes_do_not_follow_from_the_index() -> None:
    """Hostile indices are the same in every run."""
    first = {
        tuple(sorted(set(LABELS[share].tolist())))
        for seed in range(30)
        for share in [partitions.parse("pathological:1").assign(LABELS, 10, 5, seed)[0]]
    }
    assert len(first) > 5


@pytest.mark.parametrize(
    ("classes", "participants", "samples", "problem"),
    [
        (4, 20, 0, "classes=4 is not possible: at most 3, the classes of the data set"),
        (2, 20, 1, "samples=1 .* at least 2, one of each class of a participant"),
        (2, 20, 36, "samples=36 .* at most 35, which a participant of the smallest classes has"),
        (2, 400, 0, "class 2 has 251 samples for up to 267 of 400 participants"),
    ],
)
def test_what_cannot_be_is_refused_with_every_seed(
    classes: int, participants: int, samples: int, problem: str
) -> None:
    rule = partitions.parse(f"pathological:{classes}")
    for seed in range(3):
        with pytest.raises(InvalidValue, match=problem):
            rule.assign(UNEVEN, participants, samples, seed)
    rule = partitions.parse("pathological:2")
    for seed in range(30):
        assert {len(one) for one in rule.assign(UNEVEN, 20, 35, seed)} == {35}
