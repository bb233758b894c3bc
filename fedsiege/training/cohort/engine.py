"""The training of one block of participants, from the global weights to the updates."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fedsiege.training.base import Samples
from fedsiege.training.cohort.graph import Graph
from fedsiege.training.cohort.layer import LAYERS, Block, channels_last
from fedsiege.training.cohort.schedule import Schedule
from fedsiege.training.inputs import together
from fedsiege.training.optimiser import LocalOptimiser


def train(
    graph: Graph,
    optimiser: LocalOptimiser,
    weights: Tensor,
    shards: Sequence[Samples],
    orders: Sequence[Tensor],
    factor: Tensor | None = None,
) -> Tensor:
    """Train participants together and return their updates.

    Args:
        graph: the module.
        optimiser: the optimiser of each step.
        weights: ``(d,)`` the start values; their device and dtype are those of the computation.
        shards: the samples of each participant, one participant or more.
        orders: ``(epochs, S_i)`` int64 for each participant; the number of epochs may differ.
        factor: ``(d,)`` multiplied with the gradients, None for 1.

    Returns:
        ``(len(shards), d)``, trained weights minus ``weights``.
    """
    varied = any(shard.epochs > 1 for shard in shards)
    sizes = [len(shard) for shard in shards]
    schedule = Schedule.of(sizes, orders, optimiser.batch_size, varied)
    if not any(schedule.lengths):
        return weights.new_zeros(len(shards), len(weights))
    deltas = weights.new_empty(len(shards), len(weights))  # made here: others may change it
    with torch.inference_mode():  # no_grad, and less to do for the many small views
        start = graph.by_name(weights)
        factors = {} if factor is None else graph.by_name(factor.to(weights))
        block = Block(len(shards), schedule.batch, schedule.lengths, optimiser, start, factors)
        network = Network(graph, block)
        samples = schedule.samples.to(weights.device)
        shares = schedule.shares.to(weights)
        images = together([shard.inputs_like(weights) for shard in shards])
        labels = torch.cat([shard.labels for shard in shards]).to(weights.device)[samples].mT
        for step, (active, width) in enumerate(schedule.extents):
            block.step, block.active = step, active
            if not schedule.repeats(step):
                batch = _batch(images[samples[step, :width, :active]])
            logits = network.forward(batch)[-1]
            given, share = (of_all[step, :active, :width] for of_all in (labels, shares))
            network.backward(_loss_gradient(logits, given, share))
        network.write(graph.by_name(deltas))
        if schedule.participants != sorted(schedule.participants):
            deltas.copy_(deltas[torch.tensor(schedule.participants).argsort()])
    return deltas


@torch.inference_mode()
def demand(
    graph: Graph,
    optimiser: LocalOptimiser,
    image: torch.Size,
    samples: int,
    factor: bool = False,
) -> tuple[float, int]:
    """Return the memory that one participant needs, in numbers.

    Args:
        graph: the module.
        optimiser: the optimiser of each step.
        image: the shape of an image, ``(C, H, W)``, or of another sample.
        samples: the number of the participant's samples, 1 or more.
        factor: whether the gradients are multiplied by a factor.

    Returns:
        The mean size of an operation's result in a step; and the size of all results and of the
        state that the layers keep between steps.
    """
    start = {name: torch.zeros(shape) for name, shape in graph.shapes.items()}
    batch = min(optimiser.batch_size, samples)
    steps = optimiser.epochs * math.ceil(samples / optimiser.batch_size)
    block = Block(1, batch, [steps], optimiser, start, start if factor else {}, active=1)
    values = Network(graph, block).forward(_batch(torch.zeros(1, 1, *image)))
    results = batch * sum(value.numel() for value in values)
    return results / len(values), results + block.kept


class Network:
    """The module, run for all participants of a block at once.

    Args:
        graph: the module.
        block: the participants.
    """

    def __init__(self, graph: Graph, block: Block) -> None:
        self._graph = graph
        self._layers = [LAYERS[call.kind].begin(call, block) for call in graph.calls]
        #: Whether there are parameters at or before each value; other values need no gradient.
        self._learns = [False]
        for call in graph.calls:
            before = any(self._learns[i] for i in call.inputs)
            self._learns.append(before or bool(call.parameters))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the images ``(B, A·K, H, W)``, or rows, and the result of every operation."""
        values = [images]
        for call, layer in zip(self._graph.calls, self._layers, strict=True):
            values.append(layer.forward(*(values[i] for i in call.inputs)))
        return values

    def backward(self, gradient: Tensor) -> None:
        """Make a step from the gradient of the last result."""
        gradients: dict[int, Tensor] = {len(self._layers): gradient}
        for position in range(len(self._layers), 0, -1):
            if not self._learns[position]:
                continue
            inputs = self._graph.calls[position - 1].inputs
            wanted = any(self._learns[i] for i in inputs)
            found = self._layers[position - 1].backward(gradients.pop(position), wanted)
            for i, value in zip(inputs, found, strict=True):
                if value is not None and self._learns[i]:
                    gradients[i] = gradients[i] + value if i in gradients else value

    def write(self, deltas: dict[str, Tensor]) -> None:
        """Write the change of each parameter, ``(P, *shape)`` by name."""
        for name in self._graph.unused:
            deltas[name].zero_()
        for layer in self._layers:
            layer.write(deltas)


def _batch(samples: Tensor) -> Tensor:
    """Return ``(B, A, ..)`` samples in the form of images, or of rows for samples of one axis."""
    return samples.transpose(0, 1) if samples.ndim == 3 else channels_last(samples.flatten(1, 2))


def _loss_gradient(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    """Return the gradient of ``Σ shares · cross entropy`` for logits ``(A, B, classes)``."""
    gradient = torch.softmax(logits, 2)
    gradient.scatter_(2, labels[:, :, None], -1, reduce="add")
    return gradient.mul_(shares[:, :, None])
