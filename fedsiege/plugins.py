"""Plug-ins: components that are not part of FedSiege, from packages and from single files.

A package declares its components as entry points, in the groups ``fedsiege.rules``,
``fedsiege.attacks``, ``fedsiege.detectors``, ``fedsiege.models``, ``fedsiege.datasets`` and
``fedsiege.pre``. A file is named in the environment variable ``FEDSIEGE_PLUGINS`` and registers its
classes with the decorators that FedSiege itself uses. Both are loaded by ``fedsiege.registry`` when
a name is asked for that is not built in, and when all names are listed.

Nothing else decides what code is loaded. A message can name a component, never a file or a module.
"""

import contextlib
import functools
import hashlib
import os
import re
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from fedsiege.errors import InvalidValue

#: The environment variable that names the files, as absolute paths with ``os.pathsep`` between.
VARIABLE = "FEDSIEGE_PLUGINS"


@dataclass(frozen=True, order=True)
class Plugin:
    """Where components come from.

    Attributes:
        name: of the package or the file; of the module, where a program registered a class itself.
        version: of the package; empty for a file.
        sha256: of the file, in hexadecimal digits; empty for a package.
    """

    name: str
    version: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version or self.sha256[:12]}".strip()


class Unusable(Exception):
    """A plug-in cannot be used; the message is the reason."""


class Offer:
    """A component that a plug-in offers.

    Args:
        name: the name of the component.
        plugin: the plug-in.
        module: the module of the class.
        attribute: the name of the class in it.
        load: returns the class; it may raise anything.
    """

    def __init__(
        self, name: str, plugin: Plugin, module: str, attribute: str, load: Callable[[], Any]
    ) -> None:
        self.name = name
        self.plugin = plugin
        #: Two offers of the same class, by an import and by an entry point, agree in this.
        self.source = (module.partition(".")[0], attribute)
        self._load = load
        self._class: Any = None
        self._reason = ""

    def load(self, check: Callable[[Any, str], None]) -> Any:  # a class
        """Return the class; it is loaded and checked once in a process.

        Args:
            check: called with the class and the name; raises Unusable.

        Raises:
            Unusable: it cannot be loaded, or it failed the check.
        """
        with _lock:
            if self._class is None and not self._reason:
                try:
                    with _loading(_Registrations(self.plugin, kept=False)):
                        loaded = self._load()
                    check(loaded, self.name)
                    self._class = loaded
                except Unusable as error:
                    self._reason = str(error)
                except (Exception, SystemExit) as error:
                    self._reason = _describe(error)
            if self._reason:
                raise Unusable(self._reason)
            return self._class


@dataclass
class _Registrations:
    """What the decorators of a plug-in register while it is loaded.

    Attributes:
        plugin: the plug-in.
        kept: whether they count, as in a file; the components of a package are its entry points.
        check: one function for each class, which raises InvalidValue if it cannot be added.
        add: one function for each class, which adds it to its registry.
    """

    plugin: Plugin
    kept: bool
    check: list[Callable[[], None]] = field(default_factory=list)
    add: list[Callable[[], None]] = field(default_factory=list)


_lock = threading.RLock()
_files: dict[Path, Plugin] = {}
_current: ContextVar[_Registrations | None] = ContextVar("_current", default=None)


def loading() -> _Registrations | None:
    """Return the registrations of the plug-in that is being loaded here; None for none."""
    return _current.get()


@contextlib.contextmanager
def _loading(registrations: _Registrations) -> Iterator[None]:
    token = _current.set(registrations)
    try:
        yield
    finally:
        _current.reset(token)


@functools.cache  # searching all installed packages takes tens of milliseconds
def offers_of_packages(group: str) -> tuple[Offer, ...]:
    """Return what the installed packages offer in a group of entry points; nothing is loaded."""
    found = [_offer(point) for point in entry_points(group=group)]
    return tuple(sorted(found, key=lambda offer: (offer.name, offer.plugin)))


def _offer(point: EntryPoint) -> Offer:
    package = point.dist
    plugin = Plugin("?") if package is None else Plugin(package.name, package.version)
    module, _, attribute = re.sub(r"\s|\[.*", "", point.value).partition(":")
    return Offer(point.name, plugin, module, attribute, point.load)


def files() -> list[Path]:
    """Return the files that the environment names, each once.

    Raises:
        InvalidValue: a path is not absolute.
    """
    paths = [Path(path) for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    for path in paths:
        if not path.is_absolute():
            allowed = f"absolute paths of Python files, with {os.pathsep!r} between"
            raise InvalidValue(VARIABLE, str(path), allowed)
    return list(dict.fromkeys(path.resolve() for path in paths))


def loaded_files() -> list[str]:
    """Return the names of the files that are loaded."""
    return [plugin.name for plugin in _files.values()]


def use_files(paths: Iterable[Path]) -> None:
    """Load plug-in files, here and in every process that is started from here.

    Args:
        paths: the files, besides those that the environment names already.

    Raises:
        InvalidValue: a file is missing, cannot be loaded or registers nothing; the environment is
            unchanged.
    """
    wanted = list(dict.fromkeys([*files(), *(path.resolve() for path in paths)]))
    for path in wanted:
        _load_file(path)
    if wanted:
        os.environ[VARIABLE] = os.pathsep.join(map(str, wanted))


def load_files() -> None:
    """Load the files that the environment names, each once in a process.

    Raises:
        InvalidValue: a file is missing, cannot be loaded or registers nothing.
    """
    if loading() is None:  # a plug-in may look a name up while it is loaded
        for path in files():
            _load_file(path)


def _load_file(path: Path) -> None:
    """Execute a file as a module of a private name, and keep what it registers.

    Raises:
        InvalidValue: it cannot be loaded or registers nothing; nothing of it is kept.
    """
    with _lock:
        if path in _files:
            return
        try:
            content = path.read_bytes()
        except OSError as error:
            allowed = f"a Python file, but: {error.strerror}"
            raise InvalidValue("PLUGIN", str(path), allowed) from None
        digest = hashlib.sha256(content).hexdigest()
        module = types.ModuleType(f"fedsiege_plugin_{path.stem}_{digest[:12]}")
        module.__file__ = str(path)
        sys.modules[module.__name__] = module  # dataclasses look their annotations up in it
        registrations = _Registrations(Plugin(path.name, sha256=digest), kept=True)
        try:
            with _loading(registrations):
                # Compiled from the bytes whose digest is recorded, and with no file beside it.
                exec(compile(content, path, "exec"), module.__dict__)  # noqa: S102
            if not registrations.add:
                raise Unusable("it registers no component, as by @fedsiege.rules.register")
            for act in (*registrations.check, *registrations.add):
                act()
        except (Exception, SystemExit) as error:
            del sys.modules[module.__name__]
            reason = str(error) if isinstance(error, Unusable) else _describe(error, path)
            allowed = f"a file that can be loaded: {reason}"
            raise InvalidValue("PLUGIN", str(path), allowed) from error
        _files[path] = registrations.plugin


def _describe(error: BaseException, path: Path | None = None) -> str:
    """Return an error in one line, with the line of the file that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path and frame.filename == str(path)]
    where = f"line {lines[-1]}: " if lines else ""
    said = " ".join(str(error).split())
    return f"{where}{type(error).__name__}{f': {said}' if said else ''}"
