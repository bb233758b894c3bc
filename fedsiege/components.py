"""Components, which are chosen by name: their parameters, the checks of these, and their text.

A component is a frozen dataclass. Its fields are its parameters, each declared once::

    @registry.register
    @dataclass(frozen=True)
    class Krum(Rule):
        name = "krum"
        summary = "the update closest to its neighbours"

        f: Annotated[int | None, Ge(0), "assumed number of hostile participants"] = None

From that declaration follow the check of every value, the error that says what is allowed, the
reading of ``krum:f=20`` and the listing.
"""

import dataclasses
import functools
import types
from collections.abc import Callable
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fedsiege import grammar
from fedsiege.errors import InvalidValue

#: What is allowed of each type that a parameter may have.
_ALLOWED = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
#: What the bounds of annotated_types say.
_BOUNDS = {"gt": " above {}", "ge": ", {} or more", "lt": ", below {}", "le": ", at most {}"}
#: No conversions: 1 is not true, "3" is not 3, and NaN is no number.
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


@dataclasses.dataclass(frozen=True)
class Spelling:
    """Metadata of a parameter that is written in a way that its type does not tell.

    Attributes:
        allowed: what is allowed, for people.
        read: turns text into a value and raises ValueError if it cannot; None for the usual way.
    """

    allowed: str
    read: Callable[[str], object] | None = None


class Parameter:
    """One parameter of a component, as its class declares it.

    Args:
        name: of the field.
        hint: its annotation: ``Annotated[TYPE, Ge(..), .., "description"]``, or a plain type.
        default: its default.

    Attributes:
        name: of the field.
        type: of its values, None aside, as text: "int", "float", "bool", "str".
        default: as text.
        allowed: which values are allowed, as text: "a whole number, 1 or more".
        description: what it means, as text; empty where nothing is declared.
    """

    def __init__(self, name: str, hint: Any, default: object = None) -> None:
        declared, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        spelling = next((one for one in metadata if isinstance(one, Spelling)), None)
        kind = _kind(declared)
        self.name = name
        self.type = kind.__name__ if isinstance(kind, type) else "str"
        self.default = str(default)
        self.allowed = spelling.allowed if spelling else _allowed(kind, metadata)
        self.description = next((one for one in metadata if isinstance(one, str)), "")
        self._read = spelling.read if spelling else None
        self._adapter: TypeAdapter[Any] = TypeAdapter(hint, config=_STRICT)

    def check(self, component: str, value: object) -> None:
        """Raise InvalidValue unless a value is of the declared type and in the declared range."""
        try:
            self._adapter.validate_python(value)
        except ValidationError:
            raise InvalidValue(f"{component}:{self.name}", value, self.allowed) from None

    def read(self, component: str, text: str) -> Any:  # of the declared type
        """Return the value that a text stands for.

        Raises:
            InvalidValue: it stands for none, or for one out of the range.
        """
        try:
            if self._read is not None:
                return self._adapter.validate_python(self._read(text))
            return self._adapter.validate_strings(text)
        except ValueError:  # pydantic's ValidationError is one
            raise InvalidValue(f"{component}:{self.name}", text, self.allowed) from None


class Component:
    """Base of the components: a frozen dataclass that checks its parameters when it is created.

    Attributes:
        name: what it is called in text.
        summary: one line for listings.
        positional: the parameter that a lone value sets, as in ``dirichlet:0.5``; None for none.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    positional: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        """Check every parameter.

        Raises:
            InvalidValue: a value is not of the declared type or in the declared range.
        """
        for parameter in parameters(type(self)):
            given = getattr(self, parameter.name)
            value = _plain_number(given)
            parameter.check(self.name, value)
            if value is not given:
                object.__setattr__(self, parameter.name, value)  # the dataclass is frozen
        self.check_together()

    def check_together(self) -> None:
        """Raise InvalidValue where parameters that are allowed one by one do not go together."""


def _plain_number(value: object) -> object:
    """Return a number of numpy or torch as a number of Python, anything else as it is.

    So ``np.int64(3)`` and an array or tensor without dimensions can be given as parameters.
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def parameters(cls: type[Any]) -> tuple[Parameter, ...]:
    """Return the parameters that a dataclass declares, in the order of its fields."""
    return _parameters(cast(Any, cls))  # mypy takes a class for unhashable


@functools.cache  # looking them up at each creation would take longer than all else
def _parameters(cls: Any) -> tuple[Parameter, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        Parameter(field.name, hints[field.name], field.default) for field in dataclasses.fields(cls)
    )


def read_settings(
    cls: type[Any], name: str, text: str | None, form: str | None = None
) -> dict[str, Any]:
    """Return the parameters of a component that a text sets: ``key=value,key=value``.

    Args:
        cls: the component.
        name: what it is called in errors.
        text: what is behind its colon; a value in front that has no key sets the positional
            parameter. None for nothing.
        form: how it is to be written, for the error; None for ``name:key=value,key=value``.

    Raises:
        InvalidValue: text of another form, a parameter that there is not or that is given twice,
            or a value that is not allowed.
    """
    if text is None:
        return {}
    known = {parameter.name: parameter for parameter in parameters(cls)}
    positional = getattr(cls, "positional", None)
    found: dict[str, Any] = {}
    lone, comma, rest = text.partition(",")
    if positional and lone.strip() and "=" not in lone:
        found[positional] = known[positional].read(name, lone.strip())
        if not comma:
            return found
        text = rest
    # Nothing behind the colon is not the same as no colon: a value may have got lost.
    for key, value in grammar.pairs(name, text or ",", "="):
        if not value:
            settings = positional.upper() if positional else "key=value,key=value"
            if positional and len(known) > 1:
                settings += ",key=value"
            form = form or (f"{name}:{settings}" if known else name)
            raise InvalidValue(name, text, f"write it as {form}")
        if key not in known:
            raise InvalidValue(f"{name}:{key}", value, takes(cls))
        if key in found:
            raise InvalidValue(f"{name}:{key}", value, f"given twice, first as {found[key]}")
        found[key] = known[key].read(name, value)
    return found


def spell(component: Any) -> str:  # any component
    """Write a component as text that ``parse`` reads back, parameters that are None left out.

    A component made of others has a ``spelled`` method of its own.

    Raises:
        InvalidValue: a parameter is text that ``parse`` would read as something else.
    """
    if hasattr(component, "spelled"):
        return str(component.spelled())
    values = {f.name: getattr(component, f.name) for f in dataclasses.fields(component)}
    for key, value in values.items():
        if isinstance(value, str) and (not value or "," in value or value != value.strip()):
            allowed = "text without commas, and without spaces around it"
            raise InvalidValue(f"{component.name}:{key}", value, allowed)
    if list(values) == [component.positional]:
        return f"{component.name}:{values[component.positional]}"
    given = ",".join(f"{key}={value}" for key, value in values.items() if value is not None)
    return f"{component.name}:{given}" if given else str(component.name)


def takes(cls: type[Any]) -> str:
    """Return which parameters a component takes, for errors."""
    known = ", ".join(parameter.name for parameter in parameters(cls))
    return f"it takes {known}" if known else "it takes no parameters"


def _kind(hint: Any) -> Any:  # a type, a Literal of texts, or a union of one with None
    """Return the type of a parameter that may also be None."""
    several = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = [one for one in several if one is not type(None)]
    if len(kinds) == 1 and get_origin(kinds[0]) is Literal:
        return kinds[0]
    if len(kinds) != 1 or kinds[0] not in _ALLOWED:
        raise TypeError(f"a parameter is a bool, int, float, str or a Literal, not {hint}")
    return kinds[0]


def _allowed(kind: Any, metadata: list[Any]) -> str:
    """Return what is allowed of a type within the bounds that its metadata sets."""
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"{', '.join(others)} or {last}" if others else str(last)
    bounds = {
        name: getattr(one, name) for one in metadata for name in _BOUNDS if hasattr(one, name)
    }
    shown = {name: f"{x:g}" if isinstance(x, float) else str(x) for name, x in bounds.items()}
    if "ge" in shown and "le" in shown:
        return f"{_ALLOWED[kind]} from {shown['ge']} to {shown['le']}"
    return _ALLOWED[kind] + "".join(_BOUNDS[name].format(shown[name]) for name in shown)
