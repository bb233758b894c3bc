"""The optimisers that participants may train with: SGD and Adam, exactly those of torch.

The formula of a step stands here alone. Trainers differ in what they hand it: LoopTrainer the
weights of one participant as one flat vector, the cohort engine one parameter of many participants.
"""

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fedsiege.errors import InvalidValue

#: How much of the first and of the second moment of Adam stays in a step, and what keeps it from
#: dividing by 0: the values of its paper, torch's defaults.
FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8


class LocalOptimiser(abc.ABC):
    """How a participant trains: on the mean cross entropy, starting afresh in every round.

    The last batch of an epoch may be smaller.

    Attributes:
        learning_rate: > 0.
        epochs: passes over the shard, >= 1.
        batch_size: samples a step, >= 1.
        weight_decay: >= 0; times the weights it is added to the gradient.
    """

    learning_rate: float
    epochs: int
    batch_size: int
    weight_decay: float

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise InvalidValue("learning_rate", self.learning_rate, "a number above 0")
        if self.epochs < 1:
            raise InvalidValue("epochs", self.epochs, "a whole number, 1 or more")
        if self.batch_size < 1:
            raise InvalidValue("batch_size", self.batch_size, "a whole number, 1 or more")
        if not 0 <= self.weight_decay < math.inf:
            raise InvalidValue("weight_decay", self.weight_decay, "0 or more")

    @property
    @abc.abstractmethod
    def buffers(self) -> int:
        """How many numbers it remembers for each weight, from step to step."""

    def step(self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], number: int) -> None:
        """Make a step: move the values, in place.

        Args:
            values: the weights, of any shape.
            gradient: of the loss, of that shape; not changed.
            memory: ``buffers`` tensors of that shape, zeros before the first step; changed.
            number: which step of the round it is, from 1.
        """
        if self.weight_decay:
            gradient = gradient.add(values, alpha=self.weight_decay)
        self._move(values, gradient, memory, number)

    @abc.abstractmethod
    def _move(
        self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], number: int
    ) -> None:
        """Make a step with the gradient of everything, weight decay included."""


@dataclass(frozen=True)
class LocalSGD(LocalOptimiser):
    """Exactly ``torch.optim.SGD``.

    ``g = ∇loss + weight_decay·w;  v = momentum·v + g;  w = w - learning_rate·v``, with ``v`` zero
    at the start of every round.

    Args:
        learning_rate: > 0.
        momentum: in [0, 1).
        epochs: passes over the shard, >= 1.
        batch_size: samples a step, >= 1.
        weight_decay: >= 0.
    """

    learning_rate: float = 0.001
    momentum: float = 0.9
    epochs: int = 2
    batch_size: int = 4
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise InvalidValue("momentum", self.momentum, "0 or more, below 1")

    @property
    def buffers(self) -> int:
        """The velocity, where there is momentum."""
        return 1 if self.momentum else 0

    def _move(
        self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], number: int
    ) -> None:
        for velocity in memory:
            gradient = velocity.mul_(self.momentum).add_(gradient)
        values.add_(gradient, alpha=-self.learning_rate)


@dataclass(frozen=True)
class LocalAdam(LocalOptimiser):
    """Exactly ``torch.optim.Adam``, as it is by default but for what can be set here.

    ``g = ∇loss + weight_decay·w;  m = 0.9·m + 0.1·g;  v = 0.999·v + 0.001·g²`` and, in step t,
    ``w = w - learning_rate · m/(1 - 0.9^t) / (√(v/(1 - 0.999^t)) + 1e-8)``, with ``m`` and ``v``
    zero at the start of every round. A first step moves every weight by nearly the learning rate,
    however small its gradient is.

    Args:
        learning_rate: > 0.
        epochs: passes over the shard, >= 1.
        batch_size: samples a step, >= 1.
        weight_decay: >= 0, added to the gradient (L2), not taken off the weights as AdamW does.

    Source: Kingma and Ba, *Adam: a method for stochastic optimization*, ICLR 2015, algorithm 1.
    """

    learning_rate: float = 0.001
    epochs: int = 2
    batch_size: int = 4
    weight_decay: float = 0.0

    @property
    def buffers(self) -> int:
        """The two moments."""
        return 2

    def _move(
        self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], number: int
    ) -> None:
        first, second = memory
        first.lerp_(gradient, 1 - FIRST)
        second.mul_(SECOND).addcmul_(gradient, gradient, value=1 - SECOND)
        # Numerator and denominator times √(1 - 0.999^t): a pass over the numbers less.
        root = math.sqrt(1 - SECOND**number)
        size = self.learning_rate * root / (1 - FIRST**number)
        values.addcdiv_(first, second.sqrt().add_(EPSILON * root), value=-size)


def create(
    name: str, learning_rate: float, momentum: float, epochs: int, batch_size: int
) -> LocalOptimiser:
    """Create an optimiser without weight decay by its name, "sgd" or "adam".

    Raises:
        InvalidValue: there is no such optimiser, a parameter is out of its range, or momentum is to
            go with Adam.
    """
    if name == "sgd":
        return LocalSGD(learning_rate, momentum, epochs, batch_size)
    if name != "adam":
        raise InvalidValue("optimizer", name, "sgd or adam")
    if momentum != 0:
        raise InvalidValue("momentum", momentum, "0 with adam, which has moments of its own")
    return LocalAdam(learning_rate, epochs, batch_size)
