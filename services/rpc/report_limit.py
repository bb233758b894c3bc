"""A limit on the messages that one peer can cause in a log or a list of notes."""

from collections import Counter
from collections.abc import Callable


class ReportLimit:
    """Passes on a limited number of messages of each peer, and counts the others.

    Args:
        report: called with each message that is passed on.
        limit: messages of one peer between two calls of ``reset``.
    """

    def __init__(self, report: Callable[[str], None], limit: int) -> None:
        self._report = report
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def report(self, peer: str, text: str) -> None:
        """Pass a message on, unless the peer has reached its limit."""
        self._counts[peer] += 1
        if self._counts[peer] <= self._limit:
            self._report(text)

    def reset(self) -> None:
        """Report how many messages of each peer were left out, and set all counts to 0."""
        for peer, count in self._counts.items():
            if count > self._limit:
                self._report(f"{peer}: {count - self._limit} more reports were left out")
        self._counts.clear()
