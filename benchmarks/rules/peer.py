"""Imports ByzFL, in its own environment: ``.bench/byzfl``, which ``make bench-rules`` makes."""

import importlib
from types import ModuleType
from typing import Any


def load() -> ModuleType:
    """Return ByzFL.

    It imports torchvision, which beside a CPU build of torch misses two operators that nobody here
    calls.
    """
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("byzfl")
