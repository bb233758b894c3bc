"""What is not arithmetic: flattening, residual additions, layers that do nothing."""

import operator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedsiege.errors import InvalidValue
from fedsiege.training.cohort.block import Block
from fedsiege.training.cohort.convolution import channels_last
from fedsiege.training.cohort.layers import ROWS, Call, Layer, rule

#: Methods that take a shape, in which the batch size may be the one that another value has.
RESHAPING = ("view", "reshape")


@rule(nn.Flatten, torch.flatten, "flatten", *RESHAPING)
class Flatten(Layer):
    """Images ``(B, A·K, H, W)`` to rows ``(A, B, K·H·W)``; rows stay as they are."""

    gives = ROWS

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse other shapes than one row of all features per sample."""
        return "only (batch, features) is covered" if _features(call) is None else None

    def __init__(self, call: Call, block: Block) -> None:
        self._block, self._name, self._features = block, call.name, _features(call)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Give everyone a matrix of its own, the features in torch's order."""
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
    """Return how many features a flattening is to give, -1 for all, None if it is none."""
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


@rule(operator.add, operator.iadd, torch.add, "add", "add_")
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
        """Add."""
        left, right = inputs
        if left.shape != right.shape:
            shapes = f"{tuple(left.shape)} + {tuple(right.shape)}"
            raise InvalidValue(self._name, shapes, "both of one shape")
        return left + right

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Give the gradient to both."""
        return gradient, gradient


@rule(nn.Identity, nn.Dropout, nn.Dropout2d, F.dropout)
class Identity(Layer):
    """The identity, and dropout that is switched off."""

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse dropout that drops."""
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
        """Pass on."""
        return inputs[0]

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Pass on."""
        return (gradient,)
