"""How the scripts that ask ByzFL keep its answers; it runs in ByzFL's environment."""

import inspect
import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from types import ModuleType

import numpy as np


def record(byzfl: ModuleType, package: str, results: Mapping[str, np.ndarray]) -> None:
    """Print results as JSON, with the version that gave them and all classes that it has.

    Args:
        byzfl: ByzFL.
        package: the part of it that is asked: ``aggregators``, ``attacks``.
        results: what it answered, by what it was asked.
    """
    kept = {
        "version": version("byzfl"),
        "classes": [
            name
            for name, member in inspect.getmembers(byzfl, inspect.isclass)
            if member.__module__.startswith(f"byzfl.{package}.")
        ],
        **{name: value.tolist() for name, value in results.items()},
    }
    texts = [f'"{name}": {json.dumps(value)}' for name, value in kept.items()]
    sys.stdout.write("{\n" + ",\n".join(texts) + "\n}\n")
