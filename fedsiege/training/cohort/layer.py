"""The interface of a layer in the cohort engine, and the registry of the layers it runs.

The engine trains a block of participants at once. A is the number of participants that make the
current step, B the number of samples of a step. Values between layers have one of two forms:

- *images* ``(B, A·K, H, W)``, channels last: participant a has the K channels from ``a·K`` on;
- *rows* ``(A, B, F)``: one matrix per participant.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from fedsiege.training.optimiser import LocalOptimiser

IMAGES, ROWS, EITHER, SAME = "images", "rows", "images or rows", "the form of its input"


@dataclass
class Block:
    """A block of participants in training: the state that all layers share.

    Attributes:
        participants: their number P.
        batch: samples per step B; shorter batches are padded with samples of weight 0.
        lengths: the number of steps of each participant, in descending order.
        optimiser: the optimiser of each step.
        weights: the start values of parameters and buffers by name.
        factors: the factors of the gradients by parameter name; empty for 1.
        step: the current step, from 0.
        active: the number of participants A that make this step: the first ``active`` ones.
        kept: how many numbers the layers keep between steps, for all participants.
    """

    participants: int
    batch: int
    lengths: list[int]
    optimiser: LocalOptimiser
    weights: dict[str, Tensor]
    factors: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    active: int = 0
    kept: int = 0

    @property
    def steps(self) -> int:
        """The number of steps of the longest training."""
        return self.lengths[0]


class Stacked:
    """One parameter with separate values ``(P, *shape)`` for each participant.

    Args:
        name: the name of the parameter.
        block: the block of participants.
        order: the order of its dimensions in memory; None for the parameter's own order.
    """

    def __init__(self, name: str, block: Block, order: tuple[int, ...] | None = None) -> None:
        start, factor = block.weights[name], block.factors.get(name)
        if order is not None:
            start, factor = start.permute(order), None if factor is None else factor.permute(order)
        self._start, self._factor, self._block = start, factor, block
        self._values = start.repeat(block.participants, *[1] * start.ndim)
        self._memory = [torch.zeros_like(self._values) for _ in range(block.optimiser.buffers)]
        block.kept += self._values.numel() * (2 + len(self._memory))  # and the gradient

    @property
    def values(self) -> Tensor:
        """``(A, *shape)``, the values of the participants that make this step."""
        return self._values[: self._block.active]

    def step(self, gradient: Tensor) -> None:
        """Make a step with gradients ``(A, *shape)``; the values of the others stay.

        Active participants are at the same step of their round, since all begin with step 0.
        """
        block = self._block
        if self._factor is not None:
            gradient = gradient * self._factor
        memory = [buffer[: block.active] for buffer in self._memory]
        block.optimiser.step(self.values, gradient, memory, block.step + 1, self._start)

    def write(self, delta: Tensor) -> None:
        """Write the change of the values, ``(P, *shape)``, into ``delta``."""
        torch.sub(self._values, self._start, out=delta)


@dataclass(frozen=True)
class Call:
    """One operation of the module's forward pass.

    Attributes:
        name: its name in messages, such as "conv1 (Conv2d)".
        kind: the module's type, the function, or the name of the tensor method.
        module: the module, None for functions and methods.
        settings: the positional arguments after the inputs; ``...`` stands for a value that is
            known only at run time.
        options: the keyword arguments.
        inputs: the positions of its inputs in the forward pass; 0 is the images.
        parameters: the full name of each parameter, by its name in the module.
        buffers: the full name of each floating-point buffer, likewise.
    """

    name: str
    kind: object
    module: nn.Module | None
    settings: tuple[object, ...]
    options: dict[str, object]
    inputs: tuple[int, ...]
    parameters: dict[str, str]
    buffers: dict[str, str] = field(default_factory=dict)


class Layer(abc.ABC):
    """Base of the layers: one operation for all participants of a block, one object per call."""

    inputs: ClassVar[int] = 1
    takes: ClassVar[str] = EITHER
    gives: ClassVar[str] = SAME
    #: Whether the result for one sample depends on the other samples of the batch.
    mixes_samples: ClassVar[bool] = False

    @staticmethod
    def objection(call: Call) -> str | None:
        """Return why this layer cannot run the call, None if it can."""
        return None

    @classmethod
    def begin(cls, call: Call, block: Block) -> "Layer":
        """Return the layer object for a call and a block."""
        return cls(call, block)

    @abc.abstractmethod
    def __init__(self, call: Call, block: Block) -> None: ...

    @abc.abstractmethod
    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the result; keep what ``backward`` needs."""

    @abc.abstractmethod
    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs, and make the optimiser's step for the parameters.

        Args:
            gradient: the gradient of the loss for the result, in the form of the result.
            wanted: whether the gradients of the inputs are used.
        """

    def write(self, deltas: dict[str, Tensor]) -> None:  # noqa: B027 - most have no parameters
        """Write the change of each parameter into ``deltas[name]``, ``(P, *its shape)``."""


#: The layer that runs each kind of operation.
LAYERS: dict[object, type[Layer]] = {}

LayerType = TypeVar("LayerType", bound=type[Layer])


def runs(*kinds: object) -> Callable[[LayerType], LayerType]:
    """Register the decorated layer for these kinds of operations."""

    def register(cls: LayerType) -> LayerType:
        LAYERS.update(dict.fromkeys(kinds, cls))
        return cls

    return register


def channels_last(images: Tensor) -> Tensor:
    """Return images with channels-last strides, also where a dimension is 1.

    For ``(B, 1, H, W)``, as of one participant with one channel, torch reports channels last for
    strides with which oneDNN selects slow code.
    """
    _, channels, height, width = images.shape
    strides = (height * width * channels, 1, width * channels, channels)
    if images.stride() == strides:
        return images
    return images.permute(0, 2, 3, 1).contiguous().as_strided(images.shape, strides)
