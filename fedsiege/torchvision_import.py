"""Imports torchvision, also beside a CPU build of torch.

The registry's torchvision wheels are linked to CUDA torch. Beside a CPU torch their compiled
operators do not load, and ``import torchvision`` fails while it describes two of them:
"operator torchvision::nms does not exist". We use none of the operators, so declaring these two is
enough for its data sets, transforms and models to work.

The import costs about a second and 85 MB: leave it to the few places that need it.
"""

import functools
import importlib
from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def load() -> ModuleType:
    """Return torchvision with its data sets.

    Raises:
        ImportError: it is not installed.
        RuntimeError: it does not fit torch for a reason other than the missing operators.
    """
    try:
        return _import()
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for operator in ("nms", "qnms"):
        _library().define(f"{operator}{_SCHEMA}")  # type: ignore[no-untyped-call]
    return _import()


def _import() -> ModuleType:
    importlib.import_module("torchvision.datasets")
    return importlib.import_module("torchvision")


@functools.cache
def _library() -> torch.library.Library:
    """Return the holder of the declarations; they live as long as it does, so it is kept."""
    return torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
