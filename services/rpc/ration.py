"""A bound on what is written down because of one peer."""

from collections import Counter
from collections.abc import Callable


class Ration:
    """Lets a few texts of each peer through, and counts the others.

    Args:
        say: told what is let through.
        most: texts of a peer until the next renewal.
    """

    def __init__(self, say: Callable[[str], None], most: int) -> None:
        self._say = say
        self._most = most
        self._said: Counter[str] = Counter()

    def say(self, peer: str, text: str) -> None:
        """Pass a text on, unless this peer has caused too many."""
        self._said[peer] += 1
        if self._said[peer] <= self._most:
            self._say(text)

    def renew(self) -> None:
        """Say how many texts of each peer were left out; all peers begin anew."""
        for peer, count in self._said.items():
            if count > self._most:
                self._say(f"{peer}: {count - self._most} more reports were left out")
        self._said.clear()
