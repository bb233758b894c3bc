"""A loop over cases runs each of them, and fails with the names of those that fail."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cases import each


class Reports:
    """Stands for the fixture ``subtests``; keeps which cases failed, and how."""

    def __init__(self) -> None:
        self.failed: dict[str, BaseException] = {}

    @contextmanager
    def test(self, name: str) -> Iterator[None]:
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:
            self.failed[name] = error


def test_every_combination_runs_and_each_failure_is_named() -> None:
    seen = []

    @each("a", [1, 2])
    @each(("b", "c"), [(3, len), (4, int)])
    def check(fixture: str, a: int, b: int, c: object) -> None:
        seen.append((fixture, a, b, c))
        assert a + b != 5

    reports = Reports()
    check(subtests=reports, fixture="f")
    assert seen == [("f", 1, 3, len), ("f", 1, 4, int), ("f", 2, 3, len), ("f", 2, 4, int)]
    assert list(reports.failed) == ["a=1, b=4, c=int", "a=2, b=3, c=len"]


def test_the_cases_after_one_that_timed_out_are_not_begun() -> None:
    begun = []

    @each("a", [1, 2, 3])
    def check(a: int) -> None:
        begun.append(a)
        pytest.fail("an error of its own" if a == 1 else "Timeout (>60.0s) from pytest-timeout.")

    reports = Reports()
    check(subtests=reports)
    assert begun == [1, 2]
    assert list(reports.failed) == ["a=1", "a=2"]


def test_no_case_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no case of text"):
        each("text", [])
