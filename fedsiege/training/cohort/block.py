"""A block of participants in training, and parameters that each of them has for itself."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fedsiege.training.optimiser import LocalOptimiser


@dataclass
class Block:
    """What every layer of a block knows.

    Attributes:
        participants: how many, P.
        batch: samples a step, B; shorter batches are filled up with samples of weight 0.
        lengths: how many steps each participant makes, longest first.
        optimiser: how each step is made.
        weights: the start values by parameter name.
        factors: what the gradients are multiplied by, by parameter name; empty for 1.
        step: the step being made, from 0.
        active: how many participants make it: the first ``active`` ones.
        kept: how many numbers the layers keep for all participants, from step to step.
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
        """How many steps the longest training has."""
        return self.lengths[0]


class Stacked:
    """One parameter with values ``(P, *shape)``: each participant moves its own.

    Args:
        name: the parameter.
        block: whose.
        order: the order of its dimensions in the memory layout to be kept; None for its own.
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
        """``(A, *shape)`` of the participants that make this step."""
        return self._values[: self._block.active]

    def step(self, gradient: Tensor) -> None:
        """Make a step with ``(A, *shape)`` gradients; the other participants stay.

        All who make it are at the same step of their round: everyone begins with the first.
        """
        block = self._block
        if self._factor is not None:
            gradient = gradient * self._factor
        memory = [buffer[: block.active] for buffer in self._memory]
        block.optimiser.step(self.values, gradient, memory, block.step + 1)

    def write(self, delta: Tensor) -> None:
        """Write ``(P, *shape)`` how far the values moved."""
        torch.sub(self._values, self._start, out=delta)
