"""The time left: by all that was done, and by nothing that was there before."""

import pytest

from fedsiege.time_left import TimeLeft, duration_text


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_takes_as_long_as_what_is_done_did_on_average() -> None:
    clock = Clock()
    left = TimeLeft(5, clock=clock)
    said = []
    for seconds in (10, 30, 0, 40, 7):
        clock.now += seconds
        said.append(left.advance())
    assert said == ["about 40 s left", "about 60 s left", "about 27 s left", "about 20 s left", ""]
    assert left.done == 5


def test_what_was_there_before_took_no_time_that_counts() -> None:
    clock = Clock()
    left = TimeLeft(5, complete=2, clock=clock)
    clock.now += 100  # to read them
    assert [left.advance(), left.advance()] == ["", ""]
    clock.now += 60
    assert left.advance() == "about 2 min left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (5399, "1 h 30 min"),
        (7200, "2 h 0 min"),
    ],
)
def test_durations_as_text(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
