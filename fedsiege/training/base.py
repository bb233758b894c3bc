"""The interface of local training: a participant's samples, their order, and the trainer.

In each round every participant starts from the global weights, makes a few steps on its own samples
with an optimiser of ``optimiser.py``, and sends the difference of the weights, its update. There
are two trainers with the same result up to rounding:

- ``LoopTrainer`` in ``loop.py`` trains one participant after the other, with any module;
- ``CohortTrainer`` in ``cohort/`` trains many in one computation, with the layers it knows.

``choice.py`` picks one of them.
"""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fedsiege import seeding
from fedsiege.errors import InvalidValue
from fedsiege.models.state import tensors
from fedsiege.training.inputs import Inputs, ready
from fedsiege.training.optimiser import LocalOptimiser


@dataclass(frozen=True)
class Samples:
    """The samples of one participant; their inputs may be made when they are asked for.

    Attributes:
        images: ``(S, C, H, W)``, or inputs of another shape ``(S, ..)``, floating point, or tokens
            as int64; with S = 0 the participant's update is zero.
        labels: ``(S,)`` int64, the classes.
        epochs: for how many epochs the samples are there, one epoch's after the other's: then
            there are ``S / epochs`` samples, which differ from epoch to epoch. 1 for samples that
            are the same in all.
    """

    images: Inputs
    labels: Tensor
    epochs: int = 1

    def __post_init__(self) -> None:
        tokens = self.images.dtype == torch.int64
        if self.images.ndim < 2 or not (tokens or self.images.is_floating_point()):
            given = f"{self.images.dtype} {tuple(self.images.shape)}"
            allowed = "floating point (samples, channels, height, width), or (samples, ..)"
            raise InvalidValue("images", given, allowed)
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            given = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise InvalidValue("labels", given, f"int64, one per sample: ({len(self.images)},)")

    def __len__(self) -> int:
        return len(self.images) // self.epochs

    def inputs_like(self, weights: Tensor) -> Inputs:
        """Return the inputs on the device of some weights and of their type; tokens stay int64."""
        return ready(self.images.to(weights))

    def example(self, weights: Tensor) -> Tensor:
        """Return ``(1, ..)`` zeros of the shape of an input, like those of ``inputs_like``."""
        kind = weights.dtype if self.images.is_floating_point() else self.images.dtype
        return torch.zeros(1, *self.images.shape[1:], dtype=kind, device=weights.device)

    def rows(self, order: Tensor) -> Tensor:
        """Return where in the inputs the samples of an order ``(epochs, S)`` are."""
        if self.epochs == 1:
            return order
        return order + len(self) * torch.arange(len(order), device=order.device)[:, None]


@dataclass(frozen=True)
class Shard(Samples):
    """The samples of one participant, with inputs that are made."""

    images: Tensor

    def inputs_like(self, weights: Tensor) -> Tensor:
        """Return the inputs on the device of some weights and of their type; tokens stay int64."""
        if self.images.is_floating_point():
            return self.images.to(weights)
        return self.images.to(weights.device)


def batch_order(
    seed: int, round_number: int, participant: int, samples: int, epochs: int
) -> Tensor:
    """Return ``(epochs, samples)`` int64: the order of a participant's samples in each epoch.

    It depends on the arguments alone, so it is the same on every worker.
    """
    random = seeding.generator(seed, "batch order", round_number, participant)
    rows = np.tile(np.arange(samples, dtype=np.int64), (epochs, 1))
    return torch.from_numpy(random.permuted(rows, axis=1))


def batch_sizes(samples: int, batch_size: int, least: int = 1) -> list[int]:
    """Return the sizes of the batches of an epoch, one for each step; empty without samples.

    The last one has what is left. If that is fewer than ``least``, it is joined to the one before.

    Args:
        samples: the number of samples, 0 or more.
        batch_size: samples per step, ``least`` or more.
        least: the fewest samples that a module can be trained with, see ``loop.least_batch``.
    """
    sizes = [batch_size] * (samples // batch_size)
    left = samples % batch_size
    if sizes and 0 < left < least:
        sizes[-1] += left
    elif left:
        sizes.append(left)
    return sizes


class Trainer(abc.ABC):
    """Base of the trainers: trains participants and returns their updates.

    Args:
        module: the architecture, used as a template: its weights are neither read nor changed, the
            train or eval mode of its layers is kept. All its parameters are trained.
        optimiser: the optimiser of each step.

    Raises:
        InvalidValue: a parameter of the module is frozen.
    """

    #: Whether it trains modules that draw random numbers. If not, ``train`` needs no seeds.
    draws: ClassVar[bool] = True

    def __init__(self, module: nn.Module, optimiser: LocalOptimiser) -> None:
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                raise InvalidValue(name, "frozen", "local training trains all parameters")
        self.module = module
        self.optimiser = optimiser

    @property
    @abc.abstractmethod
    def method(self) -> str:
        """The method in words, such as "cohort engine, 34 at a time"."""

    def train(
        self,
        weights: Tensor,
        shards: Sequence[Samples],
        orders: Sequence[Tensor],
        factor: Tensor | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """Train all participants from the same weights; yield their updates block by block.

        Args:
            weights: ``(d,)`` the global model, flat: the parameters, then the floating-point
                buffers. Its device and dtype are those of the computation. Not changed.
            shards: the samples of each participant; all images have one size.
            orders: ``(epochs, S_i)`` int64 for each participant, see ``batch_order``. A participant
                may make fewer epochs than the optimiser's.
            factor: ``(d,)`` multiplied with every gradient of the loss, before weight decay and
                momentum: 0 keeps a weight out of the loss's reach, -1 ascends. None for 1. Buffers
                have no gradient.
            seeds: one per participant, 0 to 2**64 - 1, for layers such as dropout; None for 0.
                Torch's global generator is restored.

        Yields:
            The slice of participants, in order and without gaps, and their updates ``(k, d)``:
            trained weights minus ``weights``.

        Raises:
            InvalidValue: the arguments do not fit each other; raised before training starts.
        """
        expected = sum(value.numel() for _, value in tensors(self.module))
        if weights.shape != (expected,):
            raise InvalidValue("weights", tuple(weights.shape), f"({expected},), one per weight")
        if factor is not None and factor.shape != (expected,):
            raise InvalidValue("factor", tuple(factor.shape), f"({expected},), one per weight")
        if len(orders) != len(shards):
            raise InvalidValue("orders", len(orders), f"one per shard: {len(shards)}")
        for index, (shard, order) in enumerate(zip(shards, orders, strict=True)):
            fitting = order.ndim == 2 and order.shape[1] == len(shard)
            fitting = fitting and 1 <= len(order) <= self.optimiser.epochs
            if not fitting or order.dtype != torch.int64:
                given = f"{order.dtype} {tuple(order.shape)}"
                allowed = f"int64 (epochs, samples): (1 to {self.optimiser.epochs}, {len(shard)})"
                raise InvalidValue(f"orders[{index}]", given, allowed)
            if shard.images.shape[1:] != shards[0].images.shape[1:]:
                allowed = f"all the same, as of shard 0: {tuple(shards[0].images.shape[1:])}"
                raise InvalidValue(f"image size of shard {index}", shard.images.shape[1:], allowed)
        if seeds is not None and len(seeds) != len(shards):
            raise InvalidValue("seeds", len(seeds), f"one per shard: {len(shards)}")
        return self._blocks(weights, shards, orders, factor, seeds or [0] * len(shards))

    @abc.abstractmethod
    def _blocks(
        self,
        weights: Tensor,
        shards: Sequence[Samples],
        orders: Sequence[Tensor],
        factor: Tensor | None,
        seeds: Sequence[int],
    ) -> Iterator[tuple[slice, Tensor]]:
        """Train, with arguments that ``train`` has checked."""
