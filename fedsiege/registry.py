"""Registries: the components of one kind by name, those of FedSiege and those of plug-ins."""

import contextlib
import difflib
import functools
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from fedsiege import grammar, plugins
from fedsiege.components import (
    Component,
    Parameter,
    Spelling,
    parameters,
    read_settings,
    spell,
    takes,
)
from fedsiege.errors import InvalidValue
from fedsiege.plugins import Offer, Plugin, Unusable

__all__ = [
    "Component",
    "Named",
    "Parameter",
    "Registry",
    "Spelling",
    "parameters",
    "read_settings",
    "spell",
]


class Named(Protocol):
    """What a registry needs to know of a class."""

    name: ClassVar[str]
    summary: ClassVar[str]


T = TypeVar("T")
Class = TypeVar("Class", bound=type[Named])

#: Names that are suggested for one that is unknown.
_MOST_NEAR = 4
#: Names of components of plug-ins: they stand in texts between colons, commas and slashes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}")


class Registry(Generic[T]):
    """Components of one kind by name: those of FedSiege, and those of plug-ins.

    A name belongs to one component. A plug-in cannot take the name of a component of FedSiege, and
    of two plug-ins that offer the same name neither is used.

    Args:
        noun: what is listed, for error texts: "rule", "attack".
        base: the class that all components derive from; None for any.
        group: the entry points at which packages offer components; empty for none.
    """

    def __init__(self, noun: str, base: type[Any] | None = None, group: str = "") -> None:
        self.noun = noun
        self._base = base
        self._group = group
        self._classes: dict[str, type[Any]] = {}
        self._registered: dict[str, list[Offer]] = {}

    def register(self, cls: Class) -> Class:
        """Class decorator that lists a dataclass under its ``name``.

        Raises:
            InvalidValue: there is a component of that name, or the class is not fit for one.
        """
        loading = plugins.loading()
        if cls.__module__.startswith("fedsiege."):
            if cls.name in self._classes:
                raise RuntimeError(f"two {self.noun}s are called {cls.name!r}")
            self._classes[cls.name] = cls
        elif loading is None:
            self._vet(cls)
            self._add(cls, Plugin(cls.__module__))
        elif loading.kept:
            loading.check.append(functools.partial(self._vet, cls))
            loading.add.append(functools.partial(self._add, cls, loading.plugin))
        return cls

    def _vet(self, cls: Any) -> None:  # whatever was decorated
        """Raise InvalidValue unless a class can be listed under a name of its own."""
        name = getattr(cls, "name", None)
        try:
            self._check(cls, str(name))
            if name in self._classes:
                raise Unusable(self._taken())
        except Unusable as error:
            raise InvalidValue(self.noun, name, str(error)) from None

    def _add(self, cls: Any, plugin: Plugin) -> None:
        """List a class of a plug-in file or of a program that imports FedSiege."""
        offer = Offer(cls.name, plugin, cls.__module__, cls.__qualname__, lambda: cls)
        others = self._registered.get(cls.name, [])
        # The same class once more, such as from a cell of a notebook, replaces the former.
        others = [one for one in others if (one.plugin, one.source) != (plugin, offer.source)]
        self._registered[cls.name] = [*others, offer]

    def names(self) -> list[str]:
        """Return all names in alphabetical order; no package is loaded for it."""
        return sorted({*self._classes, *self._offered()})

    def __iter__(self) -> Iterator[type[Any]]:
        for name in self.names():
            with contextlib.suppress(InvalidValue):  # ``problems`` tells of it
                yield self.get(name)

    def get(self, name: str) -> type[Any]:
        """Return the class of that name.

        Raises:
            InvalidValue: an unknown name, with the nearest; or its plug-in cannot be used, with the
                reason.
        """
        if name in self._classes:
            return self._classes[name]
        offers = self._offered().get(name, [])
        if not offers:
            near = self._near(name.lower())
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise InvalidValue(self.noun, name, f"{hint}There are: {', '.join(self.names())}")
        if reason := self._clash(offers):
            raise InvalidValue(self.noun, name, reason)
        try:
            cls: type[Any] = offers[0].load(self._check)
        except Unusable as error:
            allowed = f"the plug-in {offers[0].plugin} cannot be used: {error}"
            raise InvalidValue(self.noun, name, allowed) from None
        return cls

    def origin(self, name: str) -> Plugin | None:
        """Return the plug-in that a component comes from; None for one of FedSiege."""
        offers = [] if name in self._classes else self._offered().get(name, [])
        return offers[0].plugin if offers else None

    def problems(self) -> Iterator[tuple[str, Plugin, str]]:
        """Load all plug-ins; yield name, plug-in and reason for each that cannot be used."""
        for name, offers in sorted(self._offered(all_names=True).items()):
            for offer in offers:
                reason = self._clash(offers)
                if name in self._classes:
                    reason = self._taken()
                if not reason:
                    try:
                        offer.load(self._check)
                    except Unusable as error:
                        reason = str(error)
                if reason:
                    yield name, offer.plugin, reason

    def _offered(self, all_names: bool = False) -> dict[str, list[Offer]]:
        """Return the offers of plug-ins by name, without names of FedSiege's unless asked for."""
        found: dict[str, list[Offer]] = {}
        if self._group:
            plugins.load_files()
            for offer in plugins.offers_of_packages(self._group):
                found.setdefault(offer.name, []).append(offer)
        for name, offers in self._registered.items():
            there = found.setdefault(name, [])
            sources = [one.source for one in there]
            there.extend(one for one in offers if one.source not in sources)
        return {
            name: offers for name, offers in found.items() if all_names or name not in self._classes
        }

    def _taken(self) -> str:
        """Return why a plug-in's component of a name of FedSiege's is not used."""
        return f"FedSiege has a {self.noun} of this name, and keeps it; choose another name"

    def _clash(self, offers: list[Offer]) -> str:
        """Return what is wrong with the offers of one name; empty for a single one."""
        if len(offers) == 1:
            return ""
        owners = " and ".join(str(offer.plugin) for offer in offers)
        return f"{owners} offer a {self.noun} of this name, and neither is used; remove one"

    def _check(self, cls: Any, name: str) -> None:  # whatever a plug-in has there
        """Check the class of a plug-in.

        Raises:
            Unusable: it is no component of this kind and name.
        """
        if not isinstance(cls, type) or (self._base and not issubclass(cls, self._base)):
            wanted = f"fedsiege's {self._base.__name__}" if self._base else "a component"
            raise Unusable(f"{cls!r} is no class that derives from {wanted}")
        shown = f"{cls.__module__}.{cls.__qualname__}"
        dataclass = vars(cls).get("__dataclass_params__")
        if dataclass is None or not dataclass.frozen:
            raise Unusable(f"{shown} is no frozen dataclass: @dataclass(frozen=True) is missing")
        if getattr(cls, "name", None) != name:
            raise Unusable(f"the name of {shown} is {getattr(cls, 'name', None)!r}, not {name!r}")
        if not _NAME.fullmatch(name):
            raise Unusable(f"the name {name!r} is not of letters, digits, dots and hyphens")
        if not isinstance(getattr(cls, "summary", None), str):
            raise Unusable(f"{shown} has no summary")
        try:
            parameters(cls)
            cls()
        except Exception as error:
            raise Unusable(f"{shown} with its defaults: {error}") from error

    def _near(self, text: str) -> list[str]:
        """Return the names that may have been meant, the likeliest first."""
        if not text:
            return []
        names = self.names()
        found = [name for name in names if text in name]
        found.sort(key=lambda name: not name.startswith(text))
        if not found:  # a kind, such as backdoor, or a slip of the hand
            classes = [self._classes[name] for name in sorted(self._classes)]
            found = [
                one.name for one in classes if text in re.findall(r"[\w-]+", one.summary.lower())
            ]
            found += difflib.get_close_matches(text, names, n=3, cutoff=0.5)
        return list(dict.fromkeys(found))[:_MOST_NEAR]

    def parameters(self, name: str) -> tuple[Parameter, ...]:
        """Return the parameters of a component, for listings."""
        return parameters(self.get(name))

    def create(self, name: str, /, **given: object) -> T:
        """Create a component by name with keyword parameters.

        Raises:
            InvalidValue: unknown name, unknown parameter, or a value that is not allowed.
        """
        cls = self.get(name)
        known = {parameter.name for parameter in parameters(cls)}
        for key, value in given.items():
            if key not in known:
                raise InvalidValue(f"{name}:{key}", value, takes(cls))
        created: T = cls(**given)
        return created

    def parse(self, text: str, **defaults: object) -> T:
        """Create a component from text: ``name``, ``name:value`` or ``name:key=value,key=value``.

        Args:
            text: what the user wrote.
            defaults: parameters used where the component has them and the text does not set them.

        Raises:
            InvalidValue: as ``create``; also text of another form, such as a colon with nothing
                behind it, or a parameter given twice.
        """
        name, settings = grammar.component(text)
        cls = self.get(name)
        known = {parameter.name for parameter in parameters(cls)}
        fitting = {key: value for key, value in defaults.items() if key in known}
        return self.create(name, **{**fitting, **read_settings(cls, name, settings)})
