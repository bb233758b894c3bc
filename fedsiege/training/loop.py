"""The loop trainer: local training of one participant after the other."""

import copy
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fedsiege import seeding
from fedsiege.training.base import Shard, Trainer


class LoopTrainer(Trainer):
    """Trains one participant after the other, with any module.

    All parameters are views of one flat buffer and all gradients of another, so a step is one
    operation for the whole model. Convolution weights lie channels last in these buffers where the
    module allows it, because oneDNN is faster then. Weight decay also applies to parameters that
    the forward pass does not use.
    """

    @property
    def method(self) -> str:
        """The method in words."""
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
    """Return whether a module works with convolution weights that lie channels last.

    A module with ``x.view(len(x), -1)`` does not: it needs contiguous features of an image.
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
