"""Text on the screen that is broken between words, parameters and rules of a pipeline."""

import re
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

#: A line may end behind these: between words, parameters, rules of a pipeline.
_PIECES = re.compile(r"[^ ,/\n]*[ ,/\n]?")


class Wrapped:
    """A text that is broken at spaces, commas and slashes where it is wider than its cell.

    ``nnm:f=20/centered-clipping:tau=10.0,steps=3`` ends no line inside ``tau=10.0``. A piece that
    is too wide by itself is broken anywhere: nothing is lost.

    Args:
        text: the text; it is printed as it is, brackets are brackets.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def lines(self, width: int) -> list[str]:
        """Return the lines for a width of so many columns, 1 or more."""
        lines = [""]
        for piece in _PIECES.findall(self._text):
            if Text(lines[-1] + piece.rstrip()).cell_len > width and lines[-1]:
                lines.append("")
            lines[-1] += piece.rstrip("\n")
            if piece.endswith("\n"):
                lines.append("")
        return [line.rstrip() for line in lines]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Print the lines."""
        yield Text("\n".join(self.lines(options.max_width)), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the least and the most width it takes."""
        pieces = _PIECES.findall(self._text)
        least = max(Text(piece.rstrip()).cell_len for piece in pieces)
        most = max(Text(line).cell_len for line in self._text.split("\n"))
        return Measurement(least, most).clamp(max_width=options.max_width)
