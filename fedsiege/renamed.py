"""Names of before, which go on working with a DeprecationWarning that says the new one.

A module that had another name is a file of two lines; a name that a module had is handed to
``renamed``::

    __getattr__ = moved("fedsiege.aggregation", "fedsiege.rules")
    __getattr__ = renamed(__name__, catalogue="registry")
"""

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def renamed(module: str, **names: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module some of whose names have changed.

    Args:
        module: its name.
        names: the new name, in the same module, of each old one.
    """

    def find(name: str) -> Any:
        """Return what has another name now."""
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is {module}.{names[name]} now", DeprecationWarning, stacklevel=2
        )
        return getattr(importlib.import_module(module), names[name])

    return find


def moved(old: str, new: str, **names: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module that has another name now.

    Args:
        old: its name of before.
        new: its name.
        names: the new name of each name in it that has changed, too.
    """

    def find(name: str) -> Any:
        """Return what the module has under its new name."""
        if name.startswith("__"):  # the import system asks for some of its own
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        target = names.get(name, name)
        module = importlib.import_module(new)
        try:
            value = getattr(module, target)
        except AttributeError:
            raise AttributeError(f"module {old!r} has no attribute {name!r}") from None
        warnings.warn(f"{old}.{name} is {new}.{target} now", DeprecationWarning, stacklevel=2)
        return value

    return find
