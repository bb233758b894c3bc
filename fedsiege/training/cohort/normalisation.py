"""Normalisation: the statistics of a participant's channels stay its own."""

import abc

import torch
from torch import Tensor, nn

from fedsiege.training.cohort.block import Block, Stacked
from fedsiege.training.cohort.convolution import channels_last
from fedsiege.training.cohort.layers import IMAGES, Call, Layer, rule

Statistics = tuple[Tensor, Tensor]


class Normalisation(Layer):
    """Base: scale and shift, one each per channel and participant, if the layer has them."""

    takes, gives = IMAGES, IMAGES

    def __init__(self, call: Call, block: Block) -> None:
        self._block, self._names = block, call.parameters
        self._scale_and_shift = {
            name: Stacked(full, block) for name, full in call.parameters.items()
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        """Normalise, scale and shift."""
        self._input = channels_last(inputs[0])
        result, *self._statistics = self._normalise(self._input)
        return result

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Pass the gradient on; scale and shift make their step."""
        mask = [wanted, "weight" in self._names, "bias" in self._names]
        before, *slopes = self._gradients(channels_last(gradient), mask)
        for name, slope in zip(("weight", "bias"), slopes, strict=True):
            if name in self._names:
                self._scale_and_shift[name].step(slope.view(self._block.active, -1))
        return (before if wanted else None,)

    def write(self, deltas: dict[str, Tensor]) -> None:
        """Write how far scale and shift moved."""
        for name, full in self._names.items():
            self._scale_and_shift[name].write(deltas[full])

    def _channels(self, name: str) -> Tensor | None:
        """Return the scale or shift of all channels, None if the layer has none."""
        return self._scale_and_shift[name].values.flatten() if name in self._names else None

    @abc.abstractmethod
    def _normalise(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the result and the statistics."""

    @abc.abstractmethod
    def _gradients(self, gradient: Tensor, mask: list[bool]) -> tuple[Tensor, ...]:
        """Return the gradients of the input, the scale and the shift, as masked."""


@rule(nn.GroupNorm)
class GroupNorm(Normalisation):
    """``A`` times the layer's groups."""

    def __init__(self, call: Call, block: Block) -> None:
        super().__init__(call, block)
        assert isinstance(call.module, nn.GroupNorm)
        self._groups, self._eps = call.module.num_groups, call.module.eps

    def _sizes(self) -> tuple[int, int, int, int]:
        batch, channels, height, width = self._input.shape
        return batch, channels, height * width, self._groups * self._block.active

    def _normalise(self, images: Tensor) -> tuple[Tensor, ...]:
        scale, shift = self._channels("weight"), self._channels("bias")
        return torch.native_group_norm(images, scale, shift, *self._sizes(), self._eps)

    def _gradients(self, gradient: Tensor, mask: list[bool]) -> tuple[Tensor, ...]:
        backward = torch.ops.aten.native_group_norm_backward
        scale = self._channels("weight")
        result: tuple[Tensor, ...] = backward(
            gradient, self._input, *self._statistics, scale, *self._sizes(), mask
        )
        return result


@rule(nn.BatchNorm2d)
class BatchNorm(Normalisation):
    """Over the channels of all participants: each channel has statistics of its own anyway.

    In train mode, so with the statistics of the batch. The running averages are no parameters, are
    not used by training, and are left as they are.
    """

    mixes_samples = True

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse eval mode, which needs the running averages."""
        if call.module is not None and not call.module.training:
            return "it is in eval mode, only train mode is covered"
        return None

    def __init__(self, call: Call, block: Block) -> None:
        super().__init__(call, block)
        assert isinstance(call.module, nn.BatchNorm2d)
        self._eps = call.module.eps

    def _normalise(self, images: Tensor) -> tuple[Tensor, ...]:
        scale, shift = self._channels("weight"), self._channels("bias")
        return torch.native_batch_norm(images, scale, shift, None, None, True, 0.0, self._eps)

    def _gradients(self, gradient: Tensor, mask: list[bool]) -> tuple[Tensor, ...]:
        backward = torch.ops.aten.native_batch_norm_backward
        scale = self._channels("weight")
        result: tuple[Tensor, ...] = backward(
            gradient, self._input, scale, None, None, *self._statistics, True, self._eps, mask
        )
        return result
