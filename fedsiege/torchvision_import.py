"""The import of torchvision beside a CPU build of torch.

The registry's torchvision wheels are linked to CUDA torch. Beside a CPU torch their compiled
operators do not load, and ``import torchvision`` fails when it registers two of them: "operator
torchvision::nms does not exist". With these two declared, its data sets, transforms and models
work. A call of such an operator still raises an error.

``fedsiege`` installs a finder that declares them when torchvision is imported, so that a plugin or
a script that has imported any part of ``fedsiege`` can import torchvision as usual.

The import takes about a second and 85 MB: do it only where it is needed.
"""

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, cast

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class Finder:
    """Declares the operators when torchvision is imported; it finds no module itself."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Declare the operators that torchvision cannot load; return None."""
        if name == "torchvision":
            _declare_what_does_not_load()
        return None


def hook() -> None:
    """Install the finder, unless it is installed already."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)


@functools.cache
def load() -> ModuleType:
    """Return torchvision with its data sets.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: torchvision does not work with this torch for another reason.
    """
    hook()
    return _import()


def model(name: str) -> Callable[..., Any]:
    """Return the function of torchvision that builds a model, such as ``resnet18``."""
    hook()
    return cast(Callable[..., Any], getattr(importlib.import_module("torchvision.models"), name))


def weights(name: str) -> str:
    """Return the address of weights that torchvision publishes.

    Args:
        name: class and member, such as ``ResNet18_Weights.IMAGENET1K_V1``.
    """
    kind, _, member = name.partition(".")
    return str(getattr(model(kind), member).url)


def _import() -> ModuleType:
    importlib.import_module("torchvision.datasets")
    return importlib.import_module("torchvision")


@functools.cache
def _declare_what_does_not_load() -> None:
    """Declare the operators unless the compiled part of torchvision loads."""
    spec = PathFinder.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    import torch

    library = next(Path(spec.origin).parent.glob("_C*.so"), None)
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError:  # there is none, or it is linked to another build of torch
        for operator in ("nms", "qnms"):
            _library().define(f"{operator}{_SCHEMA}")


@functools.cache
def _library() -> Any:  # torch's Library, whose import costs a second
    """Return the library object of the declarations, cached since they live as long as it does."""
    import torch

    return torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
