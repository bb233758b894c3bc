"""The loop trainer: local training of one participant after the other."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fedsiege import seeding
from fedsiege.models.state import buffers
from fedsiege.training.base import Samples, Trainer, batch_sizes


class LoopTrainer(Trainer):
    """Trains one participant after the other, with any module.

    All parameters are views of one flat buffer and all gradients of another, so a step is one
    operation for the whole model. Buffers, such as running statistics, start from the global model
    for each participant, and are part of its update. Where the module cannot be trained with a
    single sample, see ``least_batch``, a last batch of one is joined to the one before it, and a
    participant with one sample in all normalises by the running statistics of the global model,
    which it does not change. Convolution weights lie channels last in the
    flat vectors where the module allows it, because oneDNN is faster then. Weight decay also
    applies to parameters that the forward pass does not use.
    """

    @property
    def method(self) -> str:
        """The method in words."""
        return "one by one"

    def _blocks(
        self,
        weights: Tensor,
        shards: Sequence[Samples],
        orders: Sequence[Tensor],
        factor: Tensor | None,
        seeds: Sequence[int],
    ) -> Iterator[tuple[slice, Tensor]]:
        model = copy.deepcopy(self.module)
        model.to(weights)
        parameters = list(model.parameters())
        count = sum(parameter.numel() for parameter in parameters)
        trained, carried = weights[:count], _Buffers(model, weights[count:])
        least = least_batch(model, shards[0].example(weights)) if shards else 1
        last = bool(shards) and _takes_channels_last(model, shards[0].images.shape[1:])
        vector_to_parameters(trained, parameters)
        start, values, gradient = (torch.zeros_like(trained) for _ in range(3))
        memory = [torch.zeros_like(trained) for _ in range(self.optimiser.buffers)]
        places = (_views(flat, parameters, last) for flat in (start, values, gradient))
        for parameter, origin, value, slope in zip(parameters, *places, strict=True):
            origin.copy_(parameter.detach())
            parameter.data, parameter.grad = value, slope
        scale = None if factor is None else _laid_out(factor[:count].to(weights), parameters, last)
        for index, (shard, order) in enumerate(zip(shards, orders, strict=True)):
            values.copy_(start)
            carried.reset()
            for buffer in memory:
                buffer.zero_()
            with seeding.torch_seeded(seeds[index]):
                self._train(model, shard, order, values, gradient, memory, scale, start, least)
            moved = [view.flatten() for view in _views(values - start, parameters, last)]
            yield slice(index, index + 1), torch.cat([*moved, *carried.moved()])[None]

    @torch.enable_grad()
    def _train(
        self,
        model: nn.Module,
        shard: Samples,
        order: Tensor,
        values: Tensor,
        gradient: Tensor,
        memory: Sequence[Tensor],
        scale: Tensor | None,
        start: Tensor,
        least: int,
    ) -> None:
        """Train one participant; the model's parameters and gradients are views of the buffers."""
        images = shard.inputs_like(gradient)
        labels = shard.labels.to(gradient.device)
        sizes = batch_sizes(len(shard), self.optimiser.batch_size, least)
        batches = [batch for epoch in shard.rows(order) for batch in epoch.split(sizes)]
        with _by_running_statistics(model) if len(shard) < least else nullcontext():
            for number, batch in enumerate(batches, 1):
                gradient.zero_()
                loss = F.cross_entropy(model(images[batch]), labels[batch])
                loss.backward()  # type: ignore[no-untyped-call]
                if scale is not None:
                    gradient.mul_(scale)
                self.optimiser.step(values, gradient, memory, number, start)


def least_batch(module: nn.Module, samples: Tensor) -> int:
    """Return the fewest samples that a module can be trained with: 1, or 2 where 1 raises an error.

    Batch normalisation with running statistics needs two values of each channel. Behind a network
    that reduces a picture to a single pixel these are two samples; see ``batch_sizes``.

    Args:
        module: the module; not changed.
        samples: some samples of the shape and type that it takes, on its device.
    """
    if not any(isinstance(part, _BatchNorm) for part in module.modules()):
        return 1
    trial = copy.deepcopy(module).train()
    try:
        with torch.no_grad(), seeding.torch_seeded(0):
            trial(samples.new_zeros(1, *samples.shape[1:]))
    except ValueError:  # one value per channel
        return 2
    return 1


@contextmanager
def _by_running_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch normalisation use its running statistics, and not change them, in the context."""
    layers = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()


class _Buffers:
    """The buffers of a module that trains one participant after the other.

    Args:
        module: the module, on its device.
        start: ``(b,)`` the values of its floating-point buffers in the global model.
    """

    def __init__(self, module: nn.Module, start: Tensor) -> None:
        carried = [value for _, value in buffers(module)]
        pieces = torch.split(start, [value.numel() for value in carried])
        self._carried = [
            (value, piece.view(value.shape)) for value, piece in zip(carried, pieces, strict=True)
        ]
        # Counts of batches and the like, which begin anew with each participant.
        self._others = [
            (value, value.clone()) for value in module.buffers() if not value.is_floating_point()
        ]

    def reset(self) -> None:
        """Give all buffers the values that they start from."""
        for value, start in (*self._carried, *self._others):
            value.copy_(start)

    def moved(self) -> list[Tensor]:
        """Return by how much each floating-point buffer has changed, flat."""
        return [(value - start).flatten() for value, start in self._carried]


def _takes_channels_last(module: nn.Module, image: torch.Size) -> bool:
    """Return whether a module works with convolution weights that lie channels last.

    A module with ``x.view(len(x), -1)`` does not: it needs contiguous features of an image.
    """
    if len(image) != 3:  # no pictures
        return False
    trial = copy.deepcopy(module)
    parameters = list(trial.parameters())
    flat = parameters_to_vector(parameters).detach()
    for parameter, view in zip(parameters, _views(flat, parameters, last=True), strict=True):
        parameter.data = view
    try:
        with torch.no_grad(), seeding.torch_seeded(0):
            trial(flat.new_zeros(2, *image))
    except (RuntimeError, ValueError):  # ValueError: one value per channel, to normalise by
        return False
    return True


def _views(flat: Tensor, parameters: Sequence[nn.Parameter], last: bool) -> list[Tensor]:
    """Return the parameters as views of a flat buffer; filters channels last if ``last``."""
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
    """Return a copy of a flat vector in the memory order of the loop's buffers."""
    buffer = torch.empty_like(flat)
    given = _views(flat, parameters, last=False)
    for place, values in zip(_views(buffer, parameters, last), given, strict=True):
        place.copy_(values)
    return buffer
