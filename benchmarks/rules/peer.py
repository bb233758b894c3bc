"""Import ByzFL in its environment ``.bench/byzfl``, which ``make bench-rules`` makes."""

import importlib
from types import ModuleType
from typing import Any


def load() -> ModuleType:
    """Return the module of ByzFL.

    It imports torchvision, which misses two operators beside a CPU build of torch. They are
    declared here and never called.
    """
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("byzfl")
