"""Layers without parameters: activations, pooling, flattening, addition, the identity."""

import copy
import operator
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedsiege.errors import InvalidValue
from fedsiege.models.resnet20 import Shortcut
from fedsiege.training.cohort.layer import IMAGES, ROWS, Block, Call, Layer, channels_last, runs

RELU = (nn.ReLU, F.relu, torch.relu, torch.relu_, "relu", "relu_")
MAX_POOLING = (nn.MaxPool2d, F.max_pool2d, torch.max_pool2d)
#: Methods that take a shape, in which the batch size may be computed from another value.
RESHAPING = ("view", "reshape")


@runs(*RELU)
class ReLU(Layer):
    """``max(x, 0)``."""

    def __init__(self, call: Call, block: Block) -> None:
        pass

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return ``max(x, 0)``."""
        self._result = torch.relu(inputs[0])
        return self._result

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Pass the gradient where the result is above 0."""
        return (torch.ops.aten.threshold_backward(gradient, self._result, 0),)


@runs(*MAX_POOLING)
class MaxPool(Layer):
    """The maximum of each window; the first of equal values, as in torch."""

    takes, gives = IMAGES, IMAGES

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse ``return_indices``."""
        return "return_indices is not covered" if _pooling(call)["return_indices"] else None

    def __init__(self, call: Call, block: Block) -> None:
        chosen = _pooling(call)
        stride = [] if chosen["stride"] is None else chosen["stride"]
        kernel, padding, dilation = (chosen[k] for k in ("kernel_size", "padding", "dilation"))
        self._settings = (kernel, stride, padding, dilation, chosen["ceil_mode"])

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the maximum of each window, and keep its position."""
        (self._input,) = inputs
        result, self._where = torch.ops.aten.max_pool2d_with_indices(self._input, *self._settings)
        return cast(Tensor, result)

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Pass each gradient to the position of the maximum."""
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        return (backward(gradient, self._input, *self._settings, self._where),)


def _pooling(call: Call) -> dict[str, object]:
    """Return the settings of a pooling module or function by name."""
    defaults = {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1}
    defaults |= {"ceil_mode": False, "return_indices": False}
    if call.module is not None:
        return {name: getattr(call.module, name) for name in defaults}
    return defaults | dict(zip(defaults, call.settings, strict=False)) | call.options


@runs(nn.ReLU6, F.relu6)
class ReLU6(Layer):
    """``min(max(x, 0), 6)``."""

    def __init__(self, call: Call, block: Block) -> None:
        pass

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return ``min(max(x, 0), 6)``."""
        (self._input,) = inputs
        return F.hardtanh(self._input, 0.0, 6.0)

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Pass the gradient where the input is between 0 and 6."""
        return (torch.ops.aten.hardtanh_backward(gradient, self._input, 0.0, 6.0),)


@runs(nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus)
@runs(torch.tanh, F.tanh, "tanh", torch.sigmoid, F.sigmoid, "sigmoid")
@runs(F.leaky_relu, F.elu, F.gelu, F.silu, F.softplus)
class Elementwise(Layer):
    """An elementwise function, run by torch, with its gradient from autograd."""

    def __init__(self, call: Call, block: Block) -> None:
        self._function = _out_of_place(call)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Run the layer under autograd."""
        with torch.inference_mode(False), torch.enable_grad():
            # Autograd cannot use tensors made in inference mode.
            self._input = inputs[0].clone().requires_grad_()
            self._result = self._function(self._input)
        return self._result.detach()

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Return the gradient from autograd."""
        return torch.autograd.grad(self._result, self._input, gradient)


@runs(nn.AvgPool2d, nn.AdaptiveAvgPool2d, F.avg_pool2d, F.adaptive_avg_pool2d)
class AveragePool(Elementwise):
    """Average pooling: run like an elementwise function, but on images only."""

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


@runs(nn.Flatten, torch.flatten, "flatten", *RESHAPING)
class Flatten(Layer):
    """Images ``(B, A·K, H, W)`` to rows ``(A, B, K·H·W)``; rows stay as they are."""

    gives = ROWS

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse shapes other than one row of all features per sample."""
        return "only (batch, features) is covered" if _features(call) is None else None

    def __init__(self, call: Call, block: Block) -> None:
        self._block, self._name, self._features = block, call.name, _features(call)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return one matrix per participant, with the features in torch's order."""
        (x,) = inputs
        self._shape = x.shape
        if x.ndim == 4:
            batch, _, height, width = x.shape
            apart = x.view(batch, self._block.active, -1, height, width)
            x = apart.transpose(0, 1).reshape(self._block.active, batch, -1)
        if self._features not in (-1, x.shape[2]):
            raise InvalidValue(self._name, self._features, f"there are {x.shape[2]} features")
        return x

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Fold the gradient back into channels."""
        if len(self._shape) == 3:
            return (gradient,)
        batch, channels, height, width = self._shape
        apart = gradient.view(gradient.shape[0], batch, -1, height, width)
        last = apart.permute(1, 3, 4, 0, 2).reshape(batch, height, width, channels)
        return (channels_last(last.permute(0, 3, 1, 2)),)


def _features(call: Call) -> int | None:
    """Return the number of features after a flattening, -1 for all, None for other shapes."""
    if isinstance(call.module, nn.Flatten):
        return -1 if (call.module.start_dim, call.module.end_dim) == (1, -1) else None
    settings = call.settings
    if call.kind in RESHAPING:
        shape = settings[0] if len(settings) == 1 else settings
        if not isinstance(shape, tuple) or len(shape) != 2 or shape == (-1, -1):
            return None
        return shape[1] if shape[0] in (-1, ...) and isinstance(shape[1], int) else None
    given = dict(zip(("start_dim", "end_dim"), settings, strict=False)) | call.options
    return -1 if (given.get("start_dim", 0), given.get("end_dim", -1)) == (1, -1) else None


@runs(Shortcut)
class Subsampling(Layer):
    """Every second pixel, with channels of zeros: a residual connection of ``resnet20``."""

    takes, gives = IMAGES, IMAGES

    def __init__(self, call: Call, block: Block) -> None:
        assert isinstance(call.module, Shortcut)
        self._block, self._module = block, call.module

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the pixels that are kept."""
        (images,) = inputs
        self._shape = images.shape
        return channels_last(self._module(self._apart(images)).flatten(1, 2))

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Pass the gradient to the pixels that were kept."""
        batch, channels, height, width = self._shape
        every, front = self._module.stride, self._module.added // 2
        flat = gradient.new_zeros(batch, height, width, channels).permute(0, 3, 1, 2)
        before = self._apart(flat)
        own = slice(front, front + before.shape[2])
        before[..., ::every, ::every] = self._apart(gradient)[:, :, own]
        return (flat,)

    def _apart(self, images: Tensor) -> Tensor:
        """Return a view with the channels of each participant apart."""
        batch, _, height, width = images.shape
        return images.view(batch, self._block.active, -1, height, width)


@runs(operator.add, operator.iadd, torch.add, "add", "add_")
class Add(Layer):
    """The sum of two values of one shape: a residual connection."""

    inputs = 2

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse factors, constants and output tensors."""
        return "only x + y is covered" if call.settings or call.options else None

    def __init__(self, call: Call, block: Block) -> None:
        self._name = call.name

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the sum."""
        left, right = inputs
        if left.shape != right.shape:
            shapes = f"{tuple(left.shape)} + {tuple(right.shape)}"
            raise InvalidValue(self._name, shapes, "both of one shape")
        return left + right

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Pass the gradient to both inputs."""
        return gradient, gradient


@runs(nn.Identity, nn.Dropout, nn.Dropout2d, F.dropout)
class Identity(Layer):
    """The identity, and dropout that is inactive."""

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse active dropout."""
        if isinstance(call.module, nn.Dropout | nn.Dropout2d):
            drops = call.module.training and call.module.p > 0
        elif call.module is None:
            given = dict(zip(("p", "training"), call.settings, strict=False)) | call.options
            drops = bool(given.get("training", True)) and cast(float, given.get("p", 0.5)) > 0
        else:
            drops = False
        return "it drops at random" if drops else None

    def __init__(self, call: Call, block: Block) -> None:
        pass

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the input."""
        return inputs[0]

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Return the input."""
        return (gradient,)
