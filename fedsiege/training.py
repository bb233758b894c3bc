"""Local training: what a benign participant does between two messages.

Everyone starts from the same global weights and makes a few steps on samples of its own, by an
optimiser of fedsiege/optimiser.py; its update is the difference (*delta*). There are two ways to
train many participants, with the same result up to rounding: one after the other (LoopTrainer, any
module) and many in one computation (CohortTrainer in fedsiege/cohort, modules built of the layers
it knows). ``choose`` takes the faster one and says which.
"""

import abc
import copy
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fedsiege import seeding
from fedsiege.errors import InvalidValue
from fedsiege.models.stateless import refuse_buffers
from fedsiege.optimiser import LocalOptimiser

#: How many times as fast as the cohort engine the loop must be when tried, to be chosen. Wide, so
#: that a busy machine does not change which way a run is computed.
MARGIN = 1.5

#: How often each way is tried.
TRIALS = 2


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

        Yields:
            Which participants, in order and without gaps, and their updates ``(k, d)``: trained
            weights minus ``weights``.

        Raises:
            InvalidValue: at once, if weights, shards, orders and factor do not fit each other.
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
        return self._blocks(weights, shards, orders, factor)

    @abc.abstractmethod
    def _blocks(
        self,
        weights: Tensor,
        shards: Sequence[Shard],
        orders: Sequence[Tensor],
        factor: Tensor | None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """Do it; everything fits."""


class LoopTrainer(Trainer):
    """Trains one participant after the other, with any module.

    All parameters are views of one flat buffer and all gradients of another, so that a step is one
    operation for the whole model; where the module takes it, filters lie in them channels last, as
    oneDNN wants them. Weight decay reaches parameters that the forward pass does not use, too. A
    module that draws at random (dropout) draws from torch's global generator.
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
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
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


def choose(
    module: nn.Module, optimiser: LocalOptimiser, shards: Sequence[Shard], prefer: str = "auto"
) -> tuple[Trainer, str]:
    """Return the trainer to use, and a sentence that says which and why.

    The cohort engine wins by far with small batches or layers, and loses little with large ones. So
    it is taken unless a short measurement with the first shards finds the loop MARGIN times faster.

    Args:
        module: the architecture.
        optimiser: how each step is made.
        shards: what is to be trained on, or shards like those.
        prefer: "cohort" or "loop" to have it so, "auto" to choose.

    Raises:
        InvalidValue: ``prefer`` is none of these, or "cohort" and the engine cannot run this.
    """
    # Late: the engine is built on the definitions above.
    from fedsiege.cohort import CohortTrainer

    if prefer not in ("auto", "cohort", "loop"):
        raise InvalidValue("prefer", prefer, "auto, cohort or loop")
    loop = LoopTrainer(module, optimiser)
    if prefer == "loop":
        return loop, f"{loop.method}, as asked"
    try:
        cohort = CohortTrainer(module, optimiser).sized_for(shards)
    except InvalidValue as reason:
        if prefer == "cohort":
            raise
        return loop, f"{loop.method}, because {reason}"
    if prefer == "cohort":
        return cohort, f"{cohort.method}, as asked"
    if len(shards) < 2:
        return loop, f"{loop.method}, with nobody to be trained together with"
    seconds = _measure((cohort, loop), shards[: cohort.at_a_time])
    chosen = loop if seconds[cohort] > MARGIN * seconds[loop] else cohort
    gain = seconds[loop] / seconds[cohort]
    return chosen, f"{chosen.method}; together {gain:.1f} times as fast as one by one when tried"


def _measure(trainers: Sequence[Trainer], shards: Sequence[Shard]) -> dict[Trainer, float]:
    """Return the seconds each trainer takes for one participant: the best of a few short trials.

    Shards are cut to one batch; the loop, whose participants cost the same each, trains only a few.
    """
    size, epochs = trainers[0].optimiser.batch_size, trainers[0].optimiser.epochs
    trial = [Shard(shard.images[:size], shard.labels[:size]) for shard in shards]
    orders = [batch_order(0, 0, i, len(shard), epochs) for i, shard in enumerate(trial)]
    weights = parameters_to_vector(trainers[0].module.parameters()).detach().to(shards[0].images)
    best = dict.fromkeys(trainers, math.inf)
    for repetition, trainer in itertools.product(range(1 + TRIALS), trainers):
        count = 4 if isinstance(trainer, LoopTrainer) else len(trial)
        start = time.perf_counter()
        for _, deltas in trainer.train(weights, trial[:count], orders[:count]):
            deltas[0, 0].item()  # waits for a device that works on its own
        seconds = (time.perf_counter() - start) / len(trial[:count])
        if repetition > 0:  # the first warms up
            best[trainer] = min(best[trainer], seconds)
    return best
