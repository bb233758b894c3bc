"""Local training: what a benign participant does between two messages.

Everyone starts from the same global weights and makes a few steps on samples of its own, by an
optimiser of ``optimiser.py``; its update is the difference (*delta*). There are two ways to train
many participants, with the same result up to rounding: one after the other (``LoopTrainer``, any
module) and many in one computation (``CohortTrainer`` in ``cohort/``, modules built of the layers
it knows). ``choose`` makes one of them; what "auto" stands for, ``resolve_auto`` says.
"""

import abc
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fedsiege import seeding
from fedsiege.errors import InvalidValue
from fedsiege.models.stateless import refuse_buffers
from fedsiege.training.optimiser import LocalOptimiser, LocalSGD


@dataclass(frozen=True)
class Shard:
    """The samples of one participant.

    Attributes:
        images: ``(S, C, H, W)`` floating point; S may be 0, such a participant does not move.
        labels: ``(S,)`` int64, the classes.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or not self.images.is_floating_point():
            given = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise InvalidValue("images", given, "floating point (samples, channels, height, width)")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            given = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise InvalidValue("labels", given, f"int64, one per image: ({len(self.images)},)")

    def __len__(self) -> int:
        return len(self.images)


def batch_order(
    seed: int, round_number: int, participant: int, samples: int, epochs: int
) -> Tensor:
    """Return ``(epochs, samples)`` int64: the order of a participant's samples in each epoch.

    It depends on the arguments alone, so it is the same whichever worker hosts the participant.
    """
    random = seeding.generator(seed, "batch order", round_number, participant)
    rows = np.tile(np.arange(samples, dtype=np.int64), (epochs, 1))
    return torch.from_numpy(random.permuted(rows, axis=1))


class Trainer(abc.ABC):
    """Trains participants.

    Args:
        module: the architecture, a template: its weights do not matter and are never changed, the
            train or eval mode of its layers does. All its parameters are trained.
        optimiser: how each step is made.

    Raises:
        InvalidValue: a parameter of the module is frozen, or the module has buffers, which no
            update carries.
    """

    #: Whether it trains modules that draw at random; others need no seeds.
    draws: ClassVar[bool] = True

    def __init__(self, module: nn.Module, optimiser: LocalOptimiser) -> None:
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                raise InvalidValue(name, "frozen", "local training trains all parameters")
        refuse_buffers(module, type(module).__name__)
        self.module = module
        self.optimiser = optimiser

    @property
    @abc.abstractmethod
    def method(self) -> str:
        """How, for people: "cohort engine, 34 at a time"."""

    def train(
        self,
        weights: Tensor,
        shards: Sequence[Shard],
        orders: Sequence[Tensor],
        factor: Tensor | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """Train all from the same weights; yield block by block, so that one can be sent on.

        Args:
            weights: ``(d,)`` the global model, flat, in the order of ``module.parameters()``. Its
                device and dtype are those of the computation. Not changed.
            shards: the samples of each participant, images of one size.
            orders: ``(epochs, S_i)`` int64 of each, see ``batch_order``.
            factor: ``(d,)`` by which every gradient of the loss is multiplied, before weight decay
                and all that follows: zeros where attackers leave the model alone, -1 to climb. None
                for 1.
            seeds: of what layers such as dropout draw, one per participant, 0 to 2**64 - 1; None
                for 0. Torch's global generator is left as it was.

        Yields:
            Which participants, in order and without gaps, and their updates ``(k, d)``: trained
            weights minus ``weights``.

        Raises:
            InvalidValue: at once, if these do not fit each other.
        """
        expected = sum(parameter.numel() for parameter in self.module.parameters())
        if weights.shape != (expected,):
            raise InvalidValue("weights", tuple(weights.shape), f"({expected},), one per parameter")
        if factor is not None and factor.shape != (expected,):
            raise InvalidValue("factor", tuple(factor.shape), f"({expected},), one per parameter")
        if len(orders) != len(shards):
            raise InvalidValue("orders", len(orders), f"one per shard: {len(shards)}")
        for index, (shard, order) in enumerate(zip(shards, orders, strict=True)):
            if order.shape != (self.optimiser.epochs, len(shard)) or order.dtype != torch.int64:
                given = f"{order.dtype} {tuple(order.shape)}"
                allowed = f"int64 (epochs, samples): ({self.optimiser.epochs}, {len(shard)})"
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
        shards: Sequence[Shard],
        orders: Sequence[Tensor],
        factor: Tensor | None,
        seeds: Sequence[int],
    ) -> Iterator[tuple[slice, Tensor]]:
        """Do it; everything fits."""


class LoopTrainer(Trainer):
    """Trains one participant after the other, with any module.

    All parameters are views of one flat buffer and all gradients of another, so that a step is one
    operation for the whole model; where the module takes it, filters lie in them channels last, as
    oneDNN wants them. Weight decay reaches parameters that the forward pass does not use, too.
    """

    @property
    def method(self) -> str:
        """How, for people."""
        return "one by one"

    def _blocks(
        self,
        weights: Tensor,
        shards: Sequence[Shard],
        orders: Sequence[Tensor],
        factor: Tensor | None,
        seeds: Sequence[int],
    ) -> Iterator[tuple[slice, Tensor]]:
        model = copy.deepcopy(self.module).to(weights)
        parameters = list(model.parameters())
        last = bool(shards) and _takes_channels_last(model, shards[0].images.shape[1:])
        vector_to_parameters(weights, parameters)
        start, values, gradient = (torch.zeros_like(weights) for _ in range(3))
        memory = [torch.zeros_like(weights) for _ in range(self.optimiser.buffers)]
        places = (_views(flat, parameters, last) for flat in (start, values, gradient))
        for parameter, origin, value, slope in zip(parameters, *places, strict=True):
            origin.copy_(parameter.detach())
            parameter.data, parameter.grad = value, slope
        scale = None if factor is None else _laid_out(factor.to(weights), parameters, last)
        for index, (shard, order) in enumerate(zip(shards, orders, strict=True)):
            values.copy_(start)
            for buffer in memory:
                buffer.zero_()
            with seeding.torch_seeded(seeds[index]):
                self._train(model, shard, order, values, gradient, memory, scale)
            moved = _views(values - start, parameters, last)
            yield slice(index, index + 1), torch.cat([view.flatten() for view in moved])[None]

    @torch.enable_grad()
    def _train(
        self,
        model: nn.Module,
        shard: Shard,
        order: Tensor,
        values: Tensor,
        gradient: Tensor,
        memory: Sequence[Tensor],
        scale: Tensor | None,
    ) -> None:
        """Train one participant; the model's parameters and gradients are views of the buffers."""
        images = shard.images.to(gradient)
        labels = shard.labels.to(gradient.device)
        batches = [batch for epoch in order for batch in epoch.split(self.optimiser.batch_size)]
        if not len(shard):  # splitting nothing gives one empty batch
            return
        for number, batch in enumerate(batches, 1):
            gradient.zero_()
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            if scale is not None:
                gradient.mul_(scale)
            self.optimiser.step(values, gradient, memory, number)


def _takes_channels_last(module: nn.Module, image: torch.Size) -> bool:
    """Tell whether a module works with convolution weights that lie channels last.

    One with ``x.view(len(x), -1)`` does not, which wants all features of an image in one piece.
    """
    trial = copy.deepcopy(module)
    parameters = list(trial.parameters())
    flat = parameters_to_vector(parameters).detach()
    for parameter, view in zip(parameters, _views(flat, parameters, last=True), strict=True):
        parameter.data = view
    try:
        with torch.no_grad(), seeding.torch_seeded(0):
            trial(flat.new_zeros(2, *image))
    except RuntimeError:
        return False
    return True


def _views(flat: Tensor, parameters: Sequence[nn.Parameter], last: bool) -> list[Tensor]:
    """Return the parameters as views of a flat buffer, filters channels last if so asked."""
    views, first = [], 0
    for parameter in parameters:
        piece = flat[first : first + parameter.numel()]
        first += parameter.numel()
        if last and parameter.ndim == 4:
            outputs, inputs, height, width = parameter.shape
            views.append(piece.view(outputs, height, width, inputs).permute(0, 3, 1, 2))
        else:
            views.append(piece.view(parameter.shape))
    return views


def _laid_out(flat: Tensor, parameters: Sequence[nn.Parameter], last: bool) -> Tensor:
    """Return one number per parameter in the order in which the loop's buffers hold them."""
    buffer = torch.empty_like(flat)
    given = _views(flat, parameters, last=False)
    for place, values in zip(_views(buffer, parameters, last), given, strict=True):
        place.copy_(values)
    return buffer


def resolve_auto(module: nn.Module) -> tuple[Literal["cohort", "loop"], str]:
    """Return what "auto" stands for with a module, and why where that is the loop.

    It is "cohort" if the engine has a rule for every layer and no layer mixes the samples of a
    batch (which fails with batches of unequal size), else "loop". The answer follows from the
    module alone: a measurement differs from one try to the next, and the two trainers differ in the
    last bits of their updates.

    Nothing is lost by not measuring: the engine was the faster one in every cell. Time of the loop
    over time of the engine, for one participant, one thread, 4 steps, medians of 5 interleaved
    trials, torch 2.13 on AMD Zen 5:

    ====================  =====  =====  =====  =====  =====  =====
    batch                     1      4      8     16     32     64
    ====================  =====  =====  =====  =====  =====  =====
    net, 20 participants  10.64   8.66   6.70   5.42   4.17   3.20
    lenet5, 20             7.85   5.05   3.37   2.32   1.75   1.55
    cnn, 20                3.12   1.94   1.39   1.27   1.19   1.11
    net, 1 participant     1.45   1.31   1.35   1.22   1.16   1.21
    lenet5, 1              1.41   1.47   1.41   1.23   1.23   1.12
    cnn, 1                 1.61   1.39   1.25   1.19   1.15   1.10
    net, 20, Adam          6.67   5.94   5.11   4.44   3.90   3.22
    lenet5, 20, Adam       3.34   3.18   2.71   2.11   1.75   1.57
    cnn, 20, Adam          1.58   1.48   1.34   1.22   1.19   1.13
    ====================  =====  =====  =====  =====  =====  =====

    With 40 steps, 20 participants and SGD the ratios are 1.16 (cnn, batch 64) to 11.50 (net, 1);
    with shards of 1 to 409 samples, as Dirichlet gives, 1.12 (cnn, 32) to 4.58 (net, 4).
    """
    # Late: the engine is built on the definitions above.
    from fedsiege.training.cohort import CohortTrainer

    try:
        CohortTrainer(module, LocalSGD()).refuse_mixing()
    except InvalidValue as reason:
        return "loop", str(reason)
    return "cohort", ""


def choose(
    module: nn.Module, optimiser: LocalOptimiser, shards: Sequence[Shard], prefer: str = "auto"
) -> tuple[Trainer, str]:
    """Return the trainer to use, and a sentence that says which and why.

    Args:
        module: the architecture.
        optimiser: how each step is made.
        shards: what is to be trained on, or shards like those; they decide how many participants
            the engine takes at a time, and not which trainer it is.
        prefer: "cohort", "loop", or "auto" for what ``resolve_auto`` says.

    Raises:
        InvalidValue: ``prefer`` is none of these, or "cohort" and the engine cannot run this.
    """
    # Late: the engine is built on the definitions above.
    from fedsiege.training.cohort import CohortTrainer

    if prefer not in ("auto", "cohort", "loop"):
        raise InvalidValue("prefer", prefer, "auto, cohort or loop")
    name, reason = resolve_auto(module) if prefer == "auto" else (prefer, "")
    if name == "loop":
        loop = LoopTrainer(module, optimiser)
        return loop, f"{loop.method}, because {reason}" if reason else loop.method
    cohort = CohortTrainer(module, optimiser).sized_for(shards)
    return cohort, cohort.method
