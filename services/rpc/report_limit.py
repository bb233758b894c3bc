"""A bound on what is written down because of one peer."""

from collections import Counter
from collections.abc import Callable


class ReportLimit:
    """Lets a few texts of each peer through, and counts the others.

    Args:
        report: told what is let through.
        limit: texts of a peer until the next renewal.
    """

    def __init__(self, report: Callable[[str], None], limit: int) -> None:
        self._report = report
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def report(self, peer: str, text: str) -> None:
        """Pass a text on, unless this peer has caused too many."""
        self._counts[peer] += 1
        if self._counts[peer] <= self._limit:
            self._report(text)

    def reset(self) -> None:
        """Say how many texts of each peer were left out; all peers begin anew."""
        for peer, count in self._counts.items():
            if count > self._limit:
                self._report(f"{peer}: {count - self._limit} more reports were left out")
        self._counts.clear()
