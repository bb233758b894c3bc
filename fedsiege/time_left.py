"""The time left until the last of many pieces of work is done."""

import time
from collections.abc import Callable


class TimeLeft:
    """Estimates the time left from the average time of the pieces done since the start.

    The average is over all of them, since some take ten times as long as others, and several are
    done at once.

    Args:
        total: how many pieces there are, 1 or more.
        complete: how many of them were done before the start; they do not count for the average.
        clock: returns seconds.
    """

    def __init__(
        self, total: int, complete: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._complete, self._clock = total, complete, clock
        self._done = 0
        self._start = clock()

    @property
    def done(self) -> int:
        """Pieces done so far."""
        return self._done

    def advance(self) -> str:
        """Count one more piece as done; return the time left as text, empty if it is not known."""
        self._done += 1
        timed = self._done - self._complete
        if timed <= 0:
            self._start = self._clock()
            return ""
        if self._done == self._total:
            return ""
        each = (self._clock() - self._start) / timed
        return f"about {duration_text((self._total - self._done) * each)} left"


def duration_text(seconds: float) -> str:
    """Return a duration, 0 or more seconds, as text: ``80 s``, ``5 min``, ``2 h 10 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
