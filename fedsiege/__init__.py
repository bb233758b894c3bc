"""Attack and defend federated learning over a real network, from Python.

``run`` runs an experiment and returns a ``Run``, whose tables are pandas data frames; ``arun`` does
so in an event loop. ``load`` reads a run back. ``ExperimentSpec`` has all settings. ``Client``
starts experiments on a server. The rooms ``rules``, ``attacks``, ``detectors``, ``models`` and
``datasets`` list what there is, and have the bases to derive from: ``Rule``, ``Attack``,
``Detector``, ``Model`` and ``DatasetSource``.

Each name is imported when it is first used, as torch takes a second.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fedsiege import torchvision_import

if TYPE_CHECKING:
    from fedsiege import attacks, datasets, detectors, models, rules
    from fedsiege.attacks import Attack
    from fedsiege.client import Client
    from fedsiege.datasets import DatasetSource
    from fedsiege.detectors import Detector
    from fedsiege.errors import FedSiegeError, InvalidValue
    from fedsiege.experiment.spec import ExperimentSpec
    from fedsiege.models import Model
    from fedsiege.results.run import Run, load
    from fedsiege.rules import Rule
    from fedsiege.running import arun, run

    __version__: str

__all__ = [
    "Attack",
    "Client",
    "DatasetSource",
    "Detector",
    "ExperimentSpec",
    "FedSiegeError",
    "InvalidValue",
    "Model",
    "Rule",
    "Run",
    "__version__",
    "arun",
    "attacks",
    "datasets",
    "detectors",
    "load",
    "models",
    "rules",
    "run",
]

#: The module of each name that is not itself a module.
_MODULES = {
    "Attack": "fedsiege.attacks",
    "Client": "fedsiege.client",
    "DatasetSource": "fedsiege.datasets",
    "Detector": "fedsiege.detectors",
    "ExperimentSpec": "fedsiege.experiment.spec",
    "FedSiegeError": "fedsiege.errors",
    "InvalidValue": "fedsiege.errors",
    "Model": "fedsiege.models",
    "Rule": "fedsiege.rules",
    "Run": "fedsiege.results.run",
    "arun": "fedsiege.running",
    "load": "fedsiege.results.run",
    "run": "fedsiege.running",
}

torchvision_import.hook()


def __getattr__(name: str) -> Any:  # whatever has that name
    if name not in __all__:
        raise AttributeError(f"module 'fedsiege' has no attribute {name!r}")
    value: object
    if name == "__version__":
        value = importlib.import_module("importlib.metadata").version("fedsiege")
    elif name in _MODULES:
        value = getattr(importlib.import_module(_MODULES[name]), name)
    else:
        value = importlib.import_module(f"fedsiege.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
