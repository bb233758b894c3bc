"""Records: the rows of a result file as typed fields; ``table`` writes and reads the files.

A column is a field of the file's record class that is annotated with a ``Column``. Its header,
writing, reading, JSON, data frame, documentation (``docs/results.md``) and the tables on the screen
follow from that field; a further column needs nothing else.
"""

import dataclasses
import enum
import math
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from pandas import DataFrame

#: Signs at the start of a text that a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def brief(value: Any) -> str:  # of whatever type the column has
    """Return a value as a table on the screen shows it; nothing for None, 0 and false."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if value else ""


def whole(number: int | None) -> str:
    """Return a whole number as a table on the screen shows it, 0 too; nothing for None."""
    return "" if number is None else str(number)


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
            ``brief`` shows nothing for 0, ``whole`` shows it.
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


@dataclass(frozen=True)
class _Layout:
    """What is derived from the annotations of a record class.

    Attributes:
        fields: its columns, in the order of its fields.
        values: returns the values of a record.
        conversions: the places of the values to convert for the file, and what converts them.
    """

    fields: tuple[_Field, ...]
    values: Callable[[object], tuple[object, ...]]
    conversions: tuple[tuple[int, Callable[[Any], object]], ...]


#: The layout of each record class that was asked for.
_layouts: dict[type[Any], _Layout] = {}


def _layout(record: type[Any]) -> _Layout:
    """Return the layout of a record class."""
    if record not in _layouts:
        fields = tuple(_fields(record))
        _layouts[record] = _Layout(
            fields=fields,
            values=operator.attrgetter(*(one.attribute for one in fields)),
            conversions=tuple(
                (place, convert)
                for place, one in enumerate(fields)
                if (convert := one.column.in_file or _CONVERSIONS.get(one.type)) is not None
            ),
        )
    return _layouts[record]


def _fields(record: type[Any]) -> Iterator[_Field]:
    """Yield the fields of a record class that are columns."""
    hints = get_type_hints(record, include_extras=True)
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
        yield _Field(
            attribute=one.name,
            column=column,
            name=column.name or one.name,
            type=options[0],
            optional=options != [kind],
            default=one.default,
            derived=not one.init,
        )


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _text(value: str | None) -> str | None:
    return f"'{value}" if value is not None and value.startswith(_FORMULA) else value


#: What converts values of these types for the file.
_CONVERSIONS: dict[type, Callable[[Any], object]] = {bool: _truth, str: _text}


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
        return {one.name: one.column for one in _layout(cls).fields}

    @classmethod
    def header(cls) -> list[str]:
        """Return the names of the columns."""
        return [one.name for one in _layout(cls).fields]

    def values(self) -> dict[str, Any]:
        """Return the values by column name."""
        return {one.name: getattr(self, one.attribute) for one in _layout(type(self)).fields}

    def to_row(self) -> list[object]:
        """Return the cells as the file holds them.

        Truth values are true and false, None is empty, inf and nan are themselves. A text that a
        spreadsheet would compute, such as ``=1+1``, gets an apostrophe in front: workers choose
        their names.
        """
        layout = _layout(type(self))
        row = list(layout.values(self))
        for place, convert in layout.conversions:
            row[place] = convert(row[place])
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
        for one in _layout(cls).fields:
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

        The types are int64, float64, bool and string, without records too. Those of whole numbers
        and truth values that may be absent are Int64 and boolean, so that the others stay whole.
        """
        import pandas as pd  # takes 0.3 s

        layout = _layout(cls)
        rows = list(map(layout.values, records))
        cells: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else repeat(())
        columns = {}
        for one, values in zip(layout.fields, cells, strict=False):
            kind = {int: "Int64" if one.optional else "int64", float: "float64"}
            kind[bool] = "boolean" if one.optional else "bool"
            plain = [x.value if isinstance(x, enum.StrEnum) else x for x in values]
            columns[one.name] = pd.Series(plain, dtype=kind.get(one.type, "string"))
        return pd.DataFrame(columns)
