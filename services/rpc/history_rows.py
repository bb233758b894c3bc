"""Conversion between rows of ``history.csv`` and ``google.protobuf.Struct``, a JSON object."""

import math

from google.protobuf.struct_pb2 import Struct

from fedsiege.peer_text import plain
from fedsiege.results import HistoryRow
from fedsiege.services.rpc.settings import INEXACT

#: Most characters of a text in a row; the simulator sends fewer.
_LONGEST_TEXT = 2_000


def row_message(row: HistoryRow) -> Struct:
    """Return a row by column as a message; None is left out, inf and nan are text."""
    message = Struct()
    message.update(
        {
            name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.values().items()
            if value is not None
        }
    )
    return message


def row_of(message: Struct) -> HistoryRow:
    """Return the row of a message; columns of later versions are ignored.

    Raises:
        KeyError: a column without a default is missing.
        ValueError: a value is not of its column's type.
    """
    cells = dict(message.items())
    return HistoryRow.parser(list(cells))([_cell(value) for value in cells.values()])


def _cell(value: object) -> str:
    """Return a value of a Struct as a cell; whole numbers arrive there as 100.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < INEXACT:
        return f"{value:.0f}"
    return plain(value, _LONGEST_TEXT) if isinstance(value, str) else str(value)
