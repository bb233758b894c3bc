"""Marks show in the model which updates were counted, and how often."""

import numpy as np
import pytest

from benchmarks.containers.marks import COPIES, Account, Marks

MARKS = Marks(size=100, rounds=3, participants=5)
NONE: set[tuple[int, int]] = set()


def movement(*rounds: list[int]) -> np.ndarray:
    """Return the change of a model by rounds that take the mean of these participants' updates."""
    means = [
        np.mean([MARKS.update(number, index) for index in indices], axis=0)
        for number, indices in enumerate(rounds, start=1)
        if indices
    ]
    return np.sum(means, axis=0, dtype=np.float32)


def account(moved: np.ndarray, updates: dict[int, int], **records: set[tuple[int, int]]) -> Account:
    counts = MARKS.counts(moved, updates)
    all_records = {
        "accepted": set(counts),
        "receipts": set(counts),
        "expected": set(counts),
        **records,
    }
    return Account.of(counts, updates, **all_records)


def test_no_two_updates_share_a_mark() -> None:
    updates = [MARKS.update(number, index) for number in (1, 2, 3) for index in range(5)]

    assert {update.sum() for update in updates} == {COPIES}
    assert np.sum(updates, axis=0).max() == 1


def test_updates_that_are_counted_once_are_right() -> None:
    found = account(movement([0, 1, 4], [2], []), {1: 3, 2: 1, 3: 0})

    assert found.counted == {(1, 0), (1, 1), (1, 4), (2, 2)}
    assert found == Account(found.counted, NONE, NONE, NONE, set(), NONE, NONE)


def test_an_update_that_is_counted_twice_is_found() -> None:
    found = account(movement([0, 1, 1, 2]), {1: 4})

    assert found.miscounted == {(1, 1)}
    assert found.wrong_totals == {1}, "the aggregator reports four, and there are three"


def test_an_update_in_the_count_but_not_in_the_sum_is_found() -> None:
    moved = movement([0, 1, 2])
    moved[MARKS.update(1, 2) == 1] = 0

    found = account(moved, {1: 3}, accepted={(1, 0), (1, 1), (1, 2)}, receipts={(1, 2)})

    assert found.lost == {(1, 2)}
    assert found.disagreeing == {(1, 2)}
    assert found.wrong_totals == {1}


def test_an_update_that_was_written_in_part_is_found() -> None:
    moved = movement([0, 1])
    moved[np.flatnonzero(MARKS.update(1, 1))[0]] = 0

    assert account(moved, {1: 2}).miscounted == {(1, 1)}


def test_updates_without_receipt_and_missing_ones_are_found() -> None:
    expected = {(1, 0), (1, 1), (1, 3)}

    found = account(movement([0, 1]), {1: 2}, receipts={(1, 0)}, expected=expected)

    assert found.without_receipt == {(1, 1)}
    assert found.missing == {(1, 3)}
    assert not found.lost


def test_marks_must_fit_into_the_model() -> None:
    with pytest.raises(ValueError, match="30 marks do not fit into 29 parameters"):
        Marks(29, 3, 5)


@pytest.mark.parametrize(("number", "index"), [(0, 0), (4, 0), (1, 5), (1, -1)])
def test_only_expected_participants_have_marks(number: int, index: int) -> None:
    with pytest.raises(ValueError, match="has no marks"):
        MARKS.update(number, index)
