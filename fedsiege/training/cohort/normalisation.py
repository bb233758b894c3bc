"""Normalisation, with separate statistics for each participant."""

import abc

import torch
from torch import Tensor, nn

from fedsiege.models.normalisation import LocalBatchNorm2d
from fedsiege.training.cohort.layer import IMAGES, Block, Call, Layer, Stacked, channels_last, runs

Statistics = tuple[Tensor, Tensor]


class Normalisation(Layer):
    """Base: scale and shift per channel and participant, if the layer has them."""

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
        """Return the gradient of the images; make the step of scale and shift."""
        mask = [wanted, "weight" in self._names, "bias" in self._names]
        before, *slopes = self._gradients(channels_last(gradient), mask)
        for name, slope in zip(("weight", "bias"), slopes, strict=True):
            if name in self._names:
                self._scale_and_shift[name].step(slope.view(self._block.active, -1))
        return (before if wanted else None,)

    def write(self, deltas: dict[str, Tensor]) -> None:
        """Write the change of scale and shift."""
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


@runs(nn.GroupNorm)
class GroupNorm(Normalisation):
    """Group normalisation with ``A`` times the layer's groups."""

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


@runs(nn.BatchNorm2d, LocalBatchNorm2d)
class BatchNorm(Normalisation):
    """Batch normalisation of the channels of all participants; each has its own statistics.

    It normalises by the statistics of the batch, as in train mode. Running statistics, where the
    layer keeps them, follow for each participant and are part of its update.
    """

    mixes_samples = True

    @staticmethod
    def objection(call: Call) -> str | None:
        """Refuse eval mode and running averages, which are part of the update."""
        if call.module is not None and not call.module.training:
            return "it is in eval mode, only train mode is covered"
        if call.buffers and getattr(call.module, "momentum", None) is None:
            return "it averages its statistics over all batches"
        return None

    def __init__(self, call: Call, block: Block) -> None:
        super().__init__(call, block)
        assert isinstance(call.module, nn.BatchNorm2d)
        self._eps, self._momentum = call.module.eps, call.module.momentum or 0.0
        self._full = call.buffers
        self._start = {name: block.weights[full] for name, full in self._full.items()}
        self._running = {
            name: start.repeat(block.participants, 1) for name, start in self._start.items()
        }
        block.kept += sum(values.numel() for values in self._running.values())

    def write(self, deltas: dict[str, Tensor]) -> None:
        """Write the change of scale, shift and running statistics."""
        super().write(deltas)
        for name, full in self._full.items():
            torch.sub(self._running[name], self._start[name], out=deltas[full])

    def _normalise(self, images: Tensor) -> tuple[Tensor, ...]:
        scale, shift = self._channels("weight"), self._channels("bias")
        running = (self._of_active("running_mean"), self._of_active("running_var"))
        return torch.native_batch_norm(
            images, scale, shift, *running, True, self._momentum, self._eps
        )

    def _of_active(self, name: str) -> Tensor | None:
        """Return the running statistics of all channels, changed in place; None without them."""
        return self._running[name][: self._block.active].view(-1) if self._running else None

    def _gradients(self, gradient: Tensor, mask: list[bool]) -> tuple[Tensor, ...]:
        backward = torch.ops.aten.native_batch_norm_backward
        scale = self._channels("weight")
        result: tuple[Tensor, ...] = backward(
            gradient, self._input, scale, None, None, *self._statistics, True, self._eps, mask
        )
        return result
