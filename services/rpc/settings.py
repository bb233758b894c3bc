"""Conversion between settings of an experiment and ``google.protobuf.Struct``, a JSON object."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from google.protobuf.struct_pb2 import Struct

from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec

#: JSON numbers are float64: from here on neighbouring whole numbers are no longer distinct.
INEXACT = 2**53


def read(message: Struct) -> ExperimentSpec:
    """Parse a specification; settings that are absent or null take their default.

    Names are those of the fields, in snake_case or in the camelCase of protobuf's JSON. Whole
    numbers may arrive as 100.0, and any number as text.

    Raises:
        InvalidValue: a setting is unknown or given twice, a value is out of its range, or a whole
            number is too large to be exact in JSON.
    """
    settings: dict[str, object] = {}
    # Fields of a Struct have no order: names in snake_case first, so that errors are the same.
    items = sorted(message.items(), key=lambda item: item[0] not in ExperimentSpec.model_fields)
    for given, value in items:
        name = given if given in ExperimentSpec.model_fields else _snake_case(given)
        if value is None:
            continue
        if name in settings:
            raise InvalidValue(given, value, f"{name} once: it is given in both spellings")
        settings[name] = _whole(name, value)
    return ExperimentSpec.of(settings)


def write(spec: ExperimentSpec, *, training: bool = False) -> Struct:
    """Return a specification as a message, without the settings that are None.

    Args:
        spec: the specification.
        training: whether to write only the settings of local training.
    """
    settings = spec.training if training else spec.model_dump(exclude_none=True)
    return of(settings)


def of(settings: Mapping[str, Any]) -> Struct:  # whatever a setting may be
    """Return settings by name as a message; whole numbers beyond float64's become text."""
    message = Struct()
    message.update(
        {
            name: str(value) if isinstance(value, int) and abs(value) >= INEXACT else value
            for name, value in settings.items()
        }
    )
    return message


def _snake_case(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def _whole(name: str, value: object) -> object:
    """Return 100 for 100.0 where a setting is a whole number.

    Raises:
        InvalidValue: the number is too large to be exact in JSON.
    """
    field = ExperimentSpec.model_fields.get(name)
    if field is None or not isinstance(value, float) or not value.is_integer():
        return value
    if int not in (field.annotation, *get_args(field.annotation)):
        return value
    if abs(value) >= INEXACT:
        allowed = f'as text, "{name}": "...", from 2**53 on: a JSON number is not exact there'
        raise InvalidValue(name.upper(), value, allowed)
    return int(value)
