"""Marks show in the model which updates were counted, and how often."""

import numpy as np
import pytest

from benchmarks.containers.marks import COPIES, Account, Marks

MARKS = Marks(size=100, rounds=3, participants=5)
NOBODY: set[tuple[int, int]] = set()


def movement(*rounds: list[int]) -> np.ndarray:
    """What plain means over these participants' updates, round after round, make of a model."""
    means = [
        np.mean([MARKS.update(number, index) for index in indices], axis=0)
        for number, indices in enumerate(rounds, start=1)
        if indices
    ]
    return np.sum(means, axis=0, dtype=np.float32)


def account(moved: np.ndarray, updates: dict[int, int], **records: set[tuple[int, int]]) -> Account:
    counts = MARKS.counts(moved, updates)
    told = {"accepted": set(counts), "receipts": set(counts), "expected": set(counts), **records}
    return Account.of(counts, updates, **told)


def test_no_two_updates_mark_the_same() -> None:
    updates = [MARKS.update(number, index) for number in (1, 2, 3) for index in range(5)]

    assert {update.sum() for update in updates} == {COPIES}
    assert np.sum(updates, axis=0).max() == 1


def test_what_is_counted_once_is_right() -> None:
    found = account(movement([0, 1, 4], [2], []), {1: 3, 2: 1, 3: 0})

    assert found.counted == {(1, 0), (1, 1), (1, 4), (2, 2)}
    assert found == Account(found.counted, NOBODY, NOBODY, NOBODY, set(), NOBODY, NOBODY)


def test_an_update_that_is_counted_twice_is_found() -> None:
    found = account(movement([0, 1, 1, 2]), {1: 4})

    assert found.miscounted == {(1, 1)}
    assert found.wrong_totals == {1}, "the aggregator says four, and there are three"


def test_an_update_that_was_divided_by_and_never_added_is_found() -> None:
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


def test_who_got_no_receipt_and_who_is_missing_is_told() -> None:
    expected = {(1, 0), (1, 1), (1, 3)}

    found = account(movement([0, 1]), {1: 2}, receipts={(1, 0)}, expected=expected)

    assert found.without_receipt == {(1, 1)}
    assert found.missing == {(1, 3)}
    assert not found.lost


def test_marks_need_room() -> None:
    with pytest.raises(ValueError, match="30 marks do not fit into 29 parameters"):
        Marks(29, 3, 5)


@pytest.mark.parametrize(("number", "index"), [(0, 0), (4, 0), (1, 5), (1, -1)])
def test_only_those_who_are_expected_have_marks(number: int, index: int) -> None:
    with pytest.raises(ValueError, match="has no marks"):
        MARKS.update(number, index)
