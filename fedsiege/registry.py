"""Named, parameterised things: rules, attacks, partitions. ``krum:f=20`` is one of them."""

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

from fedsiege.errors import InvalidValue


class Named(Protocol):
    """What a catalogue needs to know of a class."""

    name: ClassVar[str]
    summary: ClassVar[str]


T = TypeVar("T")
Thing = TypeVar("Thing", bound=Named)

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
#: Names that are suggested for one that is unknown.
_MOST_NEAR = 4
#: What is allowed of each type that a parameter may have.
_ALLOWED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a catalogued thing: its name, type and default as text."""

    name: str
    type: str
    default: str


class Catalogue(Generic[T]):
    """Frozen dataclasses by name.

    Each class carries ``name`` and ``summary`` (one line) as class variables and validates its own
    parameters in ``__post_init__`` by raising InvalidValue.

    Args:
        noun: what is listed, for error texts: "rule", "attack".
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._classes: dict[str, type[Any]] = {}

    def register(self, cls: type[Thing]) -> type[Thing]:
        """Class decorator that lists a dataclass under its ``name``."""
        if cls.name in self._classes:
            raise RuntimeError(f"two {self.noun}s are called {cls.name!r}")
        self._classes[cls.name] = cls
        return cls

    def names(self) -> list[str]:
        """All names in alphabetical order."""
        return sorted(self._classes)

    def __iter__(self) -> Iterator[type[Any]]:
        return (self._classes[name] for name in self.names())

    def get(self, name: str) -> type[Any]:
        """Return the class of that name; an unknown name raises InvalidValue with the nearest."""
        if name not in self._classes:
            near = self._near(name.lower())
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise InvalidValue(self.noun, name, f"{hint}There are: {', '.join(self.names())}")
        return self._classes[name]

    def _near(self, text: str) -> list[str]:
        """Return the names that somebody may have meant, the likeliest first."""
        if not text:
            return []
        found = [name for name in self.names() if text in name]
        found.sort(key=lambda name: not name.startswith(text))
        if not found:  # a kind, such as backdoor, or a slip of the hand
            found = [one.name for one in self if text in re.findall(r"[\w-]+", one.summary.lower())]
            found += difflib.get_close_matches(text, self._classes, n=3, cutoff=0.5)
        return list(dict.fromkeys(found))[:_MOST_NEAR]

    def parameters(self, name: str) -> list[Parameter]:
        """Return the parameters of a thing, for listings."""
        cls = self.get(name)
        hints = get_type_hints(cls)
        return [
            Parameter(field.name, _type_name(hints[field.name]), str(field.default))
            for field in dataclasses.fields(cls)
        ]

    def create(self, name: str, /, **parameters: object) -> T:
        """Create a thing by name with keyword parameters.

        Raises:
            InvalidValue: unknown name, unknown parameter, or a value of the wrong type or range.
        """
        cls = self.get(name)
        hints = get_type_hints(cls)
        known = [field.name for field in dataclasses.fields(cls)]
        for key, value in parameters.items():
            if key not in known:
                allowed = f"it takes {', '.join(known)}" if known else "it takes no parameters"
                raise InvalidValue(f"{name}:{key}", value, allowed)
            # Numbers have ranges, which their class knows.
            kind = _kind(hints[key])
            if kind in (bool, str) and not isinstance(value, hints[key]):
                raise InvalidValue(f"{name}:{key}", value, _ALLOWED[kind])
        thing: T = cls(**parameters)
        return thing

    def parse(self, text: str, **defaults: object) -> T:
        """Create a thing from text: ``name`` or ``name:key=value,key=value``.

        Args:
            text: what the user wrote.
            defaults: parameters used where the thing has them and the text does not set them.

        Raises:
            InvalidValue: as ``create``; also text of another form, such as a colon with nothing
                behind it, or a parameter given twice.
        """
        name, colon, rest = text.partition(":")
        name = name.strip()
        cls = self.get(name)
        hints = get_type_hints(cls)
        known = {field.name for field in dataclasses.fields(cls)}
        given: dict[str, object] = {}
        for item in rest.split(",") if colon else ():
            key, equals, value = (part.strip() for part in item.partition("="))
            if not equals or not value:  # nothing at all, too: a value may have got lost
                form = f"write it as {name}:key=value,key=value" if known else f"write it as {name}"
                raise InvalidValue(self.noun, text, form)
            if key not in known:
                self.create(name, **{key: value})  # raises with the list of what is known
            if key in given:  # the last one would win without a word
                raise InvalidValue(f"{name}:{key}", value, f"it is already {given[key]}")
            given[key] = _convert(f"{name}:{key}", value, hints[key])
        fitting = {key: value for key, value in defaults.items() if key in known}
        return self.create(name, **{**fitting, **given})


def spell(thing: Any) -> str:  # any catalogued dataclass
    """Write a thing as text that ``parse`` reads back, parameters that are None left out.

    A thing made of others has a ``spelled`` method of its own.

    Raises:
        InvalidValue: a parameter is text that ``parse`` would read as something else.
    """
    if hasattr(thing, "spelled"):
        return str(thing.spelled())
    values = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
    for key, value in values.items():
        if isinstance(value, str) and (not value or "," in value or value != value.strip()):
            allowed = "text without commas, and without spaces around it"
            raise InvalidValue(f"{thing.name}:{key}", value, allowed)
    given = ",".join(f"{key}={value}" for key, value in values.items() if value is not None)
    return f"{thing.name}:{given}" if given else str(thing.name)


def _type_name(hint: Any) -> str:  # a type or a union of types
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _convert(name: str, text: str, hint: Any) -> object:  # a type or a union with None
    """Read a parameter's text as the type its dataclass field declares."""
    kind = _kind(hint)
    if kind is bool and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    readers: dict[type, Callable[[str], object]] = {int: int, float: float, str: str}
    try:
        return readers[kind](text)
    except (KeyError, ValueError):
        raise InvalidValue(name, text, _ALLOWED[kind]) from None


def _kind(hint: Any) -> type:  # a type or a union with None
    """Return the type of a parameter that may also be None."""
    [kind] = [t for t in getattr(hint, "__args__", (hint,)) if t is not type(None)]
    assert isinstance(kind, type)
    return kind
