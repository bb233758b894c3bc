"""Conversion of values in messages of the simulator."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from fedsiege.services.errors import Malformed


def enum_name(kind: Any, number: int, prefix: str) -> str:  # protobuf's enums share no type
    """Return the name of an enum's value in lower case; its number if it is of a later version."""
    try:
        name: str = kind.Name(number)
    except ValueError:
        return str(number)
    return name.removeprefix(prefix).lower()


def time_of(stamp: Timestamp) -> datetime:
    """Return a time.

    Raises:
        Malformed: it is beyond what a date can be.
    """
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed("MALFORMED_MESSAGE", f"not a time: {error}") from error
