"""A table of the results, on disk as it grows."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path


class Table:
    """A CSV file that grows by whole rows, each on disk before the call returns.

    Args:
        path: the file; it must not be there yet.
        header: the names of the columns.

    Raises:
        OSError: the file is there, or cannot be written; then it is not left behind.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self._file = path.open("xb", buffering=0)
        try:
            self.append([header])
        except OSError:
            self._file.close()
            path.unlink()
            raise

    def append(self, rows: Iterable[Sequence[object]]) -> None:
        """Add rows: true and false for truth values, nothing for None, inf and nan as they are.

        Raises:
            OSError: they cannot be written; the table is as it was, and the error names it.
        """
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([_spell(v) for v in row] for row in rows)
        # In one write, for a run killed between two would leave half a row.
        rest = memoryview(text.getvalue().encode())
        before = self._file.tell()
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:  # on a full disk a part may have been written
            self._file.truncate(before)
            self._file.seek(before)
            raise type(error)(error.errno, error.strerror, self._file.name) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _spell(value: object) -> object:
    """Write a value as CSV readers expect it; the csv module does the rest.

    A text that a spreadsheet would compute, such as ``=1+1``, gets the apostrophe that keeps it
    text: workers choose their names.
    """
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return str(value).lower() if isinstance(value, bool) else value
