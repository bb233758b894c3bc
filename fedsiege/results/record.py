"""Records: the rows of a result file as typed fields, and the CSV file that holds them.

A column is a field of the file's record class that is annotated with a ``Column``. Its header,
writing, reading, JSON, data frame, documentation (``docs/results.md``) and the tables on the screen
follow from that field; a further column needs nothing else.
"""

import csv
import dataclasses
import enum
import io
import math
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from fedsiege.errors import FedSiegeError, MissingExtra
from fedsiege.peer_text import plain

if TYPE_CHECKING:
    from pandas import DataFrame

#: Signs at the start of a text that a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: Bytes that are not UTF-8, as Python decodes them with "surrogateescape".
_ESCAPED = re.compile("[\udc80-\udcff]")


def brief(value: Any) -> str:  # of whatever type the column has
    """Return a value as a table on the screen shows it; nothing for None, 0 and false."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if value else ""


def percent(digits: int) -> Callable[[float | None], str]:
    """Return what shows a share in percent, with so many decimals."""
    return lambda share: "" if share is None else f"{share:.{digits}%}"


def rounded(digits: int) -> Callable[[float], float]:
    """Return what rounds a number to so many decimals before it is written."""
    return lambda value: round(value, digits)


def fixed(digits: int) -> Callable[[float | None], str]:
    """Return what writes a number with exactly so many decimals, and nothing for None."""
    return lambda value: "" if value is None else f"{value:.{digits}f}"


@dataclass(frozen=True)
class Column:
    """What is known of a column beside its name and type, which are those of the field.

    Attributes:
        text: what the value means, its unit and range, when it is absent; for the documentation.
        name: the name in the header, if the field cannot have it.
        heading: the heading on the screen; empty for the column's name.
        on_screen: turns a value into the text on the screen; None if the column is not shown.
        in_file: turns a value into what the file holds; None for the value itself.
    """

    text: str
    name: str = ""
    heading: str = ""
    on_screen: Callable[[Any], str] | None = brief
    in_file: Callable[[Any], object] | None = None


@dataclass(frozen=True)
class _Field:
    """A field of a record class that is a column."""

    attribute: str
    column: Column
    name: str
    type: Any
    optional: bool
    default: Any
    derived: bool

    def parse(self, text: str) -> Any:
        """Read a cell; an empty one is None or the default, where there is one.

        Raises:
            ValueError: the cell holds something else.
        """
        if text == "" and self.optional:
            return None
        if text == "" and self.default is not dataclasses.MISSING:
            return self.default
        if self.type is bool:
            if text not in ("true", "false"):
                raise ValueError(f"{text!r} is neither true nor false")
            return text == "true"
        if self.type is str and text[:1] == "'" and text[1:2] in _FORMULA:
            return text[1:]
        return self.type(text)


#: The columns of record classes, once they were asked for.
_known: dict[type[Any], tuple[_Field, ...]] = {}


def _fields(record: type[Any]) -> tuple[_Field, ...]:
    """Return the columns of a record class, in the order of its fields."""
    if record in _known:
        return _known[record]
    hints = get_type_hints(record, include_extras=True)
    found = []
    for one in dataclasses.fields(record):
        annotation = hints[one.name]
        column = next(
            (x for x in getattr(annotation, "__metadata__", ()) if type(x) is Column), None
        )
        if column is None:
            continue
        kind = get_args(annotation)[0]
        options = [kind]
        if get_origin(kind) in (Union, types.UnionType):
            options = [option for option in get_args(kind) if option is not type(None)]
        found.append(
            _Field(
                attribute=one.name,
                column=column,
                name=column.name or one.name,
                type=options[0],
                optional=options != [kind],
                default=one.default,
                derived=not one.init,
            )
        )
    return _known.setdefault(record, tuple(found))


class Record:
    """Base of record classes: frozen dataclasses, one for each result file.

    A field with a default may be missing in files of older versions. A field with ``init=False``
    follows from the others; it is written and not read.
    """

    #: The name of the result file.
    file: ClassVar[str]

    @classmethod
    def columns(cls) -> dict[str, Column]:
        """Return the columns by their name in the header, in its order."""
        return {one.name: one.column for one in _fields(cls)}

    @classmethod
    def header(cls) -> list[str]:
        """Return the names of the columns."""
        return [one.name for one in _fields(cls)]

    def values(self) -> dict[str, Any]:
        """Return the values by column name."""
        return {one.name: getattr(self, one.attribute) for one in _fields(type(self))}

    def to_row(self) -> list[object]:
        """Return the cells as the file holds them.

        Truth values are true and false, None is empty, inf and nan are themselves. A text that a
        spreadsheet would compute, such as ``=1+1``, gets an apostrophe in front: workers choose
        their names.
        """
        row: list[object] = []
        for one in _fields(type(self)):
            value = getattr(self, one.attribute)
            if one.column.in_file is not None:
                value = one.column.in_file(value)
            elif isinstance(value, bool):
                value = "true" if value else "false"
            elif isinstance(value, str) and value.startswith(_FORMULA):
                value = f"'{value}"
            row.append(value)
        return row

    @classmethod
    def parser(cls, header: Sequence[str], **further: Any) -> Callable[[Sequence[str]], Self]:
        """Return what turns the cells below a header into a record.

        It raises ValueError for a cell that holds something else than it should.

        Args:
            header: the names of the columns in the file.
            further: values of the fields that are not columns.

        Raises:
            KeyError: a column without a default is missing.
        """
        read: list[tuple[str, int, Callable[[str], Any]]] = []
        for one in _fields(cls):
            if one.derived:
                continue
            if one.name in header:
                read.append((one.attribute, header.index(one.name), one.parse))
            elif one.default is dataclasses.MISSING:
                raise KeyError(one.name)

        return lambda cells: cls(
            **{name: convert(cells[place]) for name, place, convert in read}, **further
        )

    def to_json(self) -> dict[str, Any]:
        """Return the values by column name for JSON, which has no inf and nan: they are None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in self.values().items()
        }

    @classmethod
    def frame(cls, records: Iterable[Self]) -> "DataFrame":
        """Return records as a pandas data frame, with a column for each column of the file.

        Whole numbers that may be absent are of pandas' type Int64, so that they stay whole.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra("a data frame", "pandas", "frames") from error
        rows = [one.values() for one in records]
        columns = {}
        for one in _fields(cls):
            values = [row[one.name] for row in rows]
            kind = {int: "Int64" if one.optional else "int64", float: "float64", bool: "bool"}
            if isinstance(one.type, type) and issubclass(one.type, enum.StrEnum):
                values = [value if value is None else str(value) for value in values]
            columns[one.name] = pd.Series(values, dtype=kind.get(one.type, "object"))
        return pd.DataFrame(columns)


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
