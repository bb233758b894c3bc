"""Tables: CSV files that hold records."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from fedsiege.errors import FedSiegeError
from fedsiege.peer_text import plain
from fedsiege.results.record import Record

#: Bytes that are not UTF-8, as Python decodes them with "surrogateescape".
_ESCAPED = re.compile("[\udc80-\udcff]")

R = TypeVar("R", bound=Record)


class Table(Generic[R]):
    """A CSV file that grows by complete rows, each on disk before the call returns.

    Args:
        path: the file; it must not exist yet.
        record: the class of its rows.

    Raises:
        OSError: the file exists, or cannot be written; then it is not left behind.
    """

    def __init__(self, path: Path, record: type[R]) -> None:
        self.path = path
        self._file = path.open("xb", buffering=0)
        try:
            self._write([record.header()])
        except OSError:
            self._file.close()
            path.unlink()
            raise

    def append(self, records: Iterable[R]) -> None:
        """Add rows.

        Raises:
            OSError: they cannot be written; the table is as it was, and the error names it.
        """
        self._write(one.to_row() for one in records)

    def _write(self, rows: Iterable[Sequence[object]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        # In one write: a run that is killed between two would leave half a row.
        rest = memoryview(text.getvalue().encode())
        before = self._file.tell()
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:  # on a full disk a part may have been written
            self._file.truncate(before)
            self._file.seek(before)
            raise type(error)(error.errno, error.strerror, str(self.path)) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class BadTable(FedSiegeError):
    """A result file is cut, or is not one of ours; the error names file and line."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path.name}, line {line}: {plain(problem)}")


def read_table(path: Path, record: type[R]) -> Iterator[tuple[int, R]]:
    """Read a result file; one that does not exist has no rows.

    Yields:
        Each row, with the number of its line in the file; that of the header is 1.

    Raises:
        BadTable: the file is not CSV, a column is missing, a row has more or fewer cells than the
            header, or a cell holds something else than it should.
        OSError: the file cannot be read.
    """
    parse: Callable[[Sequence[str]], R] | None = None
    for line, cells in _lines(path):
        try:
            if parse is None:
                parse = record.parser(cells)
                continue
            row = parse(cells)
        except KeyError as error:
            raise BadTable(path, line, f"the header has no column {error}") from error
        except ValueError as error:
            raise BadTable(path, line, str(error)) from error
        yield line, row


def read_cells(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Read a table whose columns are not known beforehand, as text by column.

    Yields, Raises:
        As ``read_table``.
    """
    header: list[str] = []
    for line, cells in _lines(path):
        if header:
            yield line, dict(zip(header, cells, strict=True))
        else:
            header = cells


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file, the header first, each with the number of its line."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        last = _LastLine(file)
        rows = csv.reader(last)
        columns = 0
        try:
            for cells in rows:
                if not last.text.endswith(("\n", "\r")):
                    raise BadTable(path, rows.line_num, f"{last.text!r} is cut")
                if not last.text.isascii() and _ESCAPED.search(last.text):
                    raise BadTable(path, rows.line_num, f"{last.text!r} is not UTF-8")
                if not cells:
                    continue
                columns = columns or len(cells)
                if len(cells) != columns:
                    problem = f"{len(cells)} cells, where the header has {columns}"
                    raise BadTable(path, rows.line_num, problem)
                yield rows.line_num, cells
        except csv.Error as error:
            raise BadTable(path, rows.line_num, str(error)) from error


class _LastLine:
    """Iterates over the lines of a file and remembers the last one.

    Attributes:
        text: the line, with its end.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.text = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.text = next(self._lines)
        return self.text
