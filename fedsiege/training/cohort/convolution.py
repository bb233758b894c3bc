"""Convolution: the participants become groups of one grouped convolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedsiege.training.cohort.layer import IMAGES, Block, Call, Layer, Stacked, channels_last, runs


@runs(nn.Conv2d)
class Convolution(Layer):
    """``A`` times the layer's groups; weights ``(A·out, in/groups, k, k)``, channels last."""

    takes, gives = IMAGES, IMAGES

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse padding that is not a number of zeros."""
        layer = _layer(call)
        if isinstance(layer.padding, str):
            return f"padding={layer.padding!r}, only numbers are covered"
        if layer.padding_mode != "zeros":
            return f"padding_mode={layer.padding_mode!r}, only 'zeros' is covered"
        return None

    def __init__(self, call: Call, block: Block) -> None:
        layer = _layer(call)
        self._block, self._names = block, call.parameters
        self._groups = layer.groups
        self._stride, self._dilation = list(layer.stride), list(layer.dilation)
        self._padding = [int(side) for side in layer.padding]
        self._pointwise = layer.kernel_size == layer.stride == (1, 1) and not any(self._padding)
        self._weight = Stacked(self._names["weight"], block, (0, 2, 3, 1))
        self._bias = Stacked(self._names["bias"], block) if "bias" in self._names else None

    def forward(self, *inputs: Tensor) -> Tensor:
        """Convolve each participant's images with its own filters."""
        (images,) = inputs
        self._shape = images.shape
        self._input = self._slim(channels_last(images))
        self._filters = self._weight.values.flatten(0, 1).permute(0, 3, 1, 2)
        result = F.conv2d(
            self._input,
            self._filters,
            None if self._bias is None else self._bias.values.flatten(),
            self._stride,
            self._padding,
            self._dilation,
            self._groups * self._block.active,
        )
        return self._wide(result, self._shape[0])

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Return the gradient of the images; make the step of filters and biases."""
        gradient = self._slim(channels_last(gradient))
        before, filters, _ = torch.ops.aten.convolution_backward(
            gradient,
            self._input,
            self._filters,
            None,
            self._stride,
            self._padding,
            self._dilation,
            False,
            [0, 0],
            self._groups * self._block.active,
            [wanted, True, False],
        )
        self._weight.step(filters.permute(0, 2, 3, 1).reshape(self._weight.values.shape))
        if self._bias is not None:
            self._bias.step(gradient.sum((0, 2, 3)).view(self._block.active, -1))
        return (self._wide(before, self._shape[0]) if wanted else None,)

    def write(self, deltas: dict[str, Tensor]) -> None:
        """Write the change of filters and biases."""
        self._weight.write(deltas[self._names["weight"]].permute(0, 1, 3, 4, 2))
        if self._bias is not None:
            self._bias.write(deltas[self._names["bias"]])

    def _slim(self, images: Tensor) -> Tensor:
        """Return each row of the images as an image of its own, if the filters are 1 by 1.

        With one thread and fewer than 16 images, oneDNN would process the groups one by one.
        """
        if not self._pointwise:
            return images
        batch, channels, height, width = images.shape
        return (
            images.permute(0, 2, 3, 1)
            .reshape(batch * height, 1, width, channels)
            .permute(0, 3, 1, 2)
        )

    def _wide(self, images: Tensor, batch: int) -> Tensor:
        """Undo ``_slim``."""
        if not self._pointwise:
            return images
        rows, channels, _, width = images.shape
        return (
            images.permute(0, 2, 3, 1)
            .reshape(batch, rows // batch, width, channels)
            .permute(0, 3, 1, 2)
        )


def _layer(call: Call) -> nn.Conv2d:
    assert isinstance(call.module, nn.Conv2d)
    return call.module
