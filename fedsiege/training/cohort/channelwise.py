"""Layers that treat every channel alike and alone: activations and pooling, run as they are."""

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedsiege.training.cohort.block import Block
from fedsiege.training.cohort.layers import IMAGES, Call, Layer, rule

RELU = (nn.ReLU, F.relu, torch.relu, torch.relu_, "relu", "relu_")
MAX_POOLING = (nn.MaxPool2d, F.max_pool2d, torch.max_pool2d)


@rule(*RELU)
class ReLU(Layer):
    """``max(x, 0)``."""

    def __init__(self, call: Call, block: Block) -> None:
        pass

    def forward(self, *inputs: Tensor) -> Tensor:
        """Cut off what is below 0."""
        self._result = torch.relu(inputs[0])
        return self._result

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Let the gradient through where the result is above 0."""
        return (torch.ops.aten.threshold_backward(gradient, self._result, 0),)


@rule(*MAX_POOLING)
class MaxPool(Layer):
    """The largest of each window; the first of equals, as everywhere in torch."""

    takes, gives = IMAGES, IMAGES

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse to give the places of the maxima as well."""
        return "return_indices is not covered" if _pooling(call)["return_indices"] else None

    def __init__(self, call: Call, block: Block) -> None:
        chosen = _pooling(call)
        stride = [] if chosen["stride"] is None else chosen["stride"]
        kernel, padding, dilation = (chosen[k] for k in ("kernel_size", "padding", "dilation"))
        self._settings = (kernel, stride, padding, dilation, chosen["ceil_mode"])

    def forward(self, *inputs: Tensor) -> Tensor:
        """Take the maximum of each window, and remember where it was."""
        (self._input,) = inputs
        result, self._where = torch.ops.aten.max_pool2d_with_indices(self._input, *self._settings)
        return cast(Tensor, result)

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Send each gradient to where the maximum was."""
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        return (backward(gradient, self._input, *self._settings, self._where),)


def _pooling(call: Call) -> dict[str, object]:
    """Return the settings of a pooling module or function by name."""
    defaults = {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1}
    defaults |= {"ceil_mode": False, "return_indices": False}
    if call.module is not None:
        return {name: getattr(call.module, name) for name in defaults}
    return defaults | dict(zip(defaults, call.settings, strict=False)) | call.options


@rule(nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.ReLU6, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus)
@rule(torch.tanh, F.tanh, "tanh", torch.sigmoid, F.sigmoid, "sigmoid")
@rule(F.leaky_relu, F.relu6, F.elu, F.gelu, F.silu, F.softplus)
class Elementwise(Layer):
    """The layer itself, with its gradient from autograd."""

    def __init__(self, call: Call, block: Block) -> None:
        self._function = _out_of_place(call)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Run the layer under autograd."""
        with torch.inference_mode(False), torch.enable_grad():
            # Autograd cannot use what inference mode made.
            self._input = inputs[0].clone().requires_grad_()
            self._result = self._function(self._input)
        return self._result.detach()

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Ask autograd."""
        return torch.autograd.grad(self._result, self._input, gradient)


@rule(nn.AvgPool2d, nn.AdaptiveAvgPool2d, F.avg_pool2d, F.adaptive_avg_pool2d)
class AveragePool(Elementwise):
    """As elementwise layers are run, but on images only."""

    takes, gives = IMAGES, IMAGES


def _out_of_place(call: Call) -> Callable[[Tensor], Tensor]:
    """Return the layer as a function that leaves its input alone."""
    if call.module is not None:
        module: Any = copy.copy(call.module)
        if hasattr(module, "inplace"):
            module.inplace = False
        return cast(Callable[[Tensor], Tensor], module)
    function: Any = getattr(Tensor, call.kind) if isinstance(call.kind, str) else call.kind
    options = {name: value for name, value in call.options.items() if name != "inplace"}
    return lambda images: function(images, *call.settings, **options)
