"""Settings that are read from text: a model whose fields say in words what they allow.

A setting is declared once, as a field. Help texts, errors, variables and messages follow from it.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fedsiege.errors import InvalidValue

MOST = 1_000_000


def setting(
    default: object,
    what: str,
    allowed: str,
    *,
    training: bool = False,
    of_attack: bool = False,
    **bounds: Any,  # as of pydantic's Field
) -> Any:  # as pydantic's Field
    """Declare a setting.

    Args:
        default: its value where none is given.
        what: what it sets, for the help text.
        allowed: its values in words, for the help text and for the error.
        training: whether workers are told it, because participants train by it.
        of_attack: whether it describes the attack, so that a clean twin may differ in it.
        bounds: what pydantic checks: ``ge``, ``le``, ``pattern`` ...
    """
    return Field(
        default,
        description=f"{what}: {allowed}",
        json_schema_extra={"allowed": allowed, "training": training, "of_attack": of_attack},
        **bounds,
    )


def count(
    default: int, what: str, least: int, *, training: bool = False, of_attack: bool = False
) -> Any:  # as pydantic's Field
    """Declare a setting that is a whole number from ``least`` to a million."""
    allowed = f"a whole number from {least} to {MOST}"
    return setting(
        default, what, allowed, training=training, of_attack=of_attack, ge=least, le=MOST
    )


class Settings(BaseModel):
    """A frozen set of settings.

    Build one with ``of``, whose errors are for people; the plain constructor raises pydantic's
    ValidationError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_values(cls, value: object) -> object:
        # pydantic takes True for 1, so that attack=True would attack with every participant
        if isinstance(value, bool):
            raise ValueError("a truth value")
        return value

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Self:
        """Build from settings by name; what is left out takes its default.

        Args:
            settings: values by field name; numbers may be written as text.

        Raises:
            InvalidValue: a value is out of its range or of the wrong type, named as the variable
                (``ATTACK``), or there is no such setting.
        """
        for key in settings:
            if key not in cls.model_fields:
                raise InvalidValue(key, settings[key], no_such("setting", key, cls.model_fields))
        try:
            return cls.model_validate(settings)
        except ValidationError as problems:
            problem = problems.errors()[0]
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, InvalidValue):
            raise cause
        key = str(problem["loc"][0])
        raise InvalidValue(key.upper(), settings[key], declared(cls, key, "allowed"))


def declared(model: type[Settings], name: str, key: str) -> Any:  # whatever was declared
    """Return what ``setting`` was told of a field: "allowed", "training" or "of_attack"."""
    extra = model.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return extra[key]


def marked(model: type[Settings], mark: str) -> set[str]:
    """Return the names of the settings declared with a mark: "training" or "of_attack"."""
    return {name for name in model.model_fields if declared(model, name, mark)}


def no_such(noun: str, name: str, names: Iterable[str]) -> str:
    """Say that a name is unknown, which is the nearest, and which there are."""
    by_lower_case = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.5)
    hint = f", did you mean {by_lower_case[near[0]]}?" if near else "."
    return f"there is no such {noun}{hint} There are: {', '.join(by_lower_case.values())}"
