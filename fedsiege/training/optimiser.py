"""The optimisers of local training: SGD and Adam, equal to those of torch.

Both trainers use these formulas: the loop on the flat weights of one participant, the cohort engine
on one parameter of many participants.
"""

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fedsiege.errors import InvalidValue

#: Decay of Adam's first and second moment, and the term that avoids division by 0: the values of
#: the paper and torch's defaults.
FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8


class LocalOptimiser(abc.ABC):
    """Base of the optimisers; the loss is the mean cross entropy of a batch.

    The state of an optimiser starts from zero in every round. The last batch of an epoch may be
    smaller.

    Attributes:
        learning_rate: > 0.
        epochs: passes over the shard, >= 1.
        batch_size: samples per step, >= 1.
        weight_decay: >= 0; ``weight_decay * weights`` is added to the gradient.
        proximal: >= 0; ``proximal * (weights - start)`` is added to the gradient, that of the term
            ``proximal / 2 * ||weights - start||^2`` of FedProx, where ``start`` is the global
            model (Li et al., *Federated optimization in heterogeneous networks*, MLSys 2020,
            equation 2).
    """

    learning_rate: float
    epochs: int
    batch_size: int
    weight_decay: float
    proximal: float

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise InvalidValue("learning_rate", self.learning_rate, "a number above 0")
        if self.epochs < 1:
            raise InvalidValue("epochs", self.epochs, "a whole number, 1 or more")
        if self.batch_size < 1:
            raise InvalidValue("batch_size", self.batch_size, "a whole number, 1 or more")
        if not 0 <= self.weight_decay < math.inf:
            raise InvalidValue("weight_decay", self.weight_decay, "0 or more")
        if not 0 <= self.proximal < math.inf:
            raise InvalidValue("proximal", self.proximal, "0 or more")

    @property
    @abc.abstractmethod
    def buffers(self) -> int:
        """The number of state values per weight that are kept from step to step."""

    def step(
        self,
        values: Tensor,
        gradient: Tensor,
        memory: Sequence[Tensor],
        number: int,
        start: Tensor | None = None,
    ) -> None:
        """Make one step in place.

        Args:
            values: the weights, of any shape; changed.
            gradient: the gradient of the loss, of the same shape; not changed.
            memory: ``buffers`` tensors of the same shape, zeros before the first step; changed.
            number: the number of the step in the round, from 1.
            start: the weights of the global model, of a shape that broadcasts; needed only where
                there is a proximal term.
        """
        if self.weight_decay:
            gradient = gradient.add(values, alpha=self.weight_decay)
        if self.proximal:
            assert start is not None
            gradient = gradient.add(values - start, alpha=self.proximal)
        self._move(values, gradient, memory, number)

    @abc.abstractmethod
    def _move(
        self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], number: int
    ) -> None:
        """Make one step with a gradient that includes weight decay and proximal term."""


@dataclass(frozen=True)
class LocalSGD(LocalOptimiser):
    """Stochastic gradient descent, equal to ``torch.optim.SGD``.

    ``g = ∇loss + weight_decay·w + proximal·(w - w_t);  v = momentum·v + g;
    w = w - learning_rate·v``, with ``v`` zero at the start of every round.

    Args:
        learning_rate: > 0.
        momentum: in [0, 1).
        epochs: passes over the shard, >= 1.
        batch_size: samples a step, >= 1.
        weight_decay: >= 0.
        proximal: >= 0, see ``LocalOptimiser``.
    """

    learning_rate: float = 0.001
    momentum: float = 0.9
    epochs: int = 2
    batch_size: int = 4
    weight_decay: float = 0.0
    proximal: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise InvalidValue("momentum", self.momentum, "0 or more, below 1")

    @property
    def buffers(self) -> int:
        """1 for the velocity if there is momentum, else 0."""
        return 1 if self.momentum else 0

    def _move(
        self, values: Tensor, gradient: Tensor, memory: Sequence[Tensor], number: int
    ) -> None:
        for velocity in memory:
            gradient = velocity.mul_(self.momentum).add_(gradient)
        values.add_(gradient, alpha=-self.learning_rate)


@dataclass(frozen=True)
class LocalAdam(LocalOptimiser):
    """Adam, equal to ``torch.optim.Adam`` with its default betas and epsilon.

    ``g = ∇loss + weight_decay·w + proximal·(w - w_t);  m = 0.9·m + 0.1·g;
    v = 0.999·v + 0.001·g²`` and, in step t, ``w = w - learning_rate · m/(1 - 0.9^t) /
    (√(v/(1 - 0.999^t)) + 1e-8)``, with ``m`` and ``v`` zero at the start of every round. A first
    step moves every weight by nearly the learning rate, however small its gradient is.

    Args:
        learning_rate: > 0.
        epochs: passes over the shard, >= 1.
        batch_size: samples a step, >= 1.
        weight_decay: >= 0, added to the gradient (L2), not taken off the weights as AdamW does.
        proximal: >= 0, see ``LocalOptimiser``.

    Source: Kingma and Ba, *Adam: a method for stochastic optimization*, ICLR 2015, algorithm 1.
    """

    learning_rate: float = 0.001
    epochs: int = 2
    batch_size: int = 4
    weight_decay: float = 0.0
    proximal: float = 0.0

    @property
    def buffers(self) -> int:
        """2, for the two moments."""
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
    name: str,
    learning_rate: float,
    momentum: float,
    epochs: int,
    batch_size: int,
    weight_decay: float = 0.0,
    proximal: float = 0.0,
) -> LocalOptimiser:
    """Return an optimiser by its name, "sgd" or "adam".

    Raises:
        InvalidValue: the name is unknown, a parameter is out of its range, or Adam is given a
            momentum other than 0.
    """
    if name == "sgd":
        return LocalSGD(learning_rate, momentum, epochs, batch_size, weight_decay, proximal)
    if name != "adam":
        raise InvalidValue("optimizer", name, "sgd or adam")
    if momentum != 0:
        raise InvalidValue("momentum", momentum, "0 with adam, which has moments of its own")
    return LocalAdam(learning_rate, epochs, batch_size, weight_decay, proximal)
