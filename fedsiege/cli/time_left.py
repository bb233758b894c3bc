"""How long it will be until the last of many pieces of work is done."""

import time
from collections.abc import Callable


class Pace:
    """Expects of each piece that is left what those done since the start took on average.

    Over all of them, since some take ten times as long as others, and several are done at once.

    Args:
        total: how many pieces there are, 1 or more.
        there: how many of them are done already; they count for nothing.
        clock: gives seconds.
    """

    def __init__(
        self, total: int, there: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._there, self._clock = total, there, clock
        self._done = 0
        self._start = clock()

    @property
    def done(self) -> int:
        """How many pieces are done."""
        return self._done

    def advance(self) -> str:
        """Count one more as done; return what is left, for people, empty if that is not known."""
        self._done += 1
        timed = self._done - self._there
        if timed <= 0:
            self._start = self._clock()
            return ""
        if self._done == self._total:
            return ""
        each = (self._clock() - self._start) / timed
        return f"about {spelled((self._total - self._done) * each)} left"


def spelled(seconds: float) -> str:
    """Return a time, 0 or more seconds, as people say it."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
