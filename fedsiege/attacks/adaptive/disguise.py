"""The disguise of the adaptive fakes: any direction, shaped like an update that was trained.

It gives an update the traces of honest training that a detector looks for.
"""

import abc
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege import models
from fedsiege.attacks.adaptive.synthetic import synthetic_steps
from fedsiege.attacks.base import Attack, Broadcast
from fedsiege.attacks.vectors import last_step, unit
from fedsiege.seeding import generator, random_group

#: Singular directions that hold most of an honest update.
_LEADING = 2


@dataclass(frozen=True)
class Layer:
    """A weight matrix and its bias, as places in the flat vector.

    Attributes:
        weight: the weights, row by row; a convolution's are a matrix, too, a row per filter.
        rows: how many rows the matrix has: outputs, classes in the last layer.
        bias: its biases, one per row, or None.
    """

    weight: slice
    rows: int
    bias: slice | None

    def matrix(self, vector: Tensor) -> Tensor:
        """Return ``(rows, columns)``, the layer's weights in a vector, as a view."""
        return vector[self.weight].view(self.rows, -1)


@dataclass(frozen=True)
class Disguised(Attack):
    """Base of the adaptive fakes that move in a direction of their own, in disguise.

    ``spread`` hides the common direction from detectors that compare the past of participants: with
    2 their cosines are about 0.2. With a few ``groups`` there are several axes along which the
    fakes stand out, none much more than another.
    """

    norm: Annotated[float, Gt(0), "length of an update, as a multiple of the last global step"] = (
        8.0
    )
    noise: Annotated[
        float, Gt(0), "length of each fake's own noise of the round, as a multiple of the direction"
    ] = 0.5
    spread: Annotated[
        float,
        Ge(0),
        "length of the noise that stays from round to round, as a multiple of the direction; it"
        " hides the common direction from comparisons of the past",
    ] = 0.0
    groups: Annotated[
        int,
        Ge(0),
        "number of groups of fakes that share the lasting noise; 0 for noise of each fake's own",
    ] = 0

    def dressed(
        self, broadcast: Broadcast, participants: Sequence[int], direction: Tensor
    ) -> Tensor:
        """Return ``(k, d)``, every row another, in a direction ``(d,)`` of any length."""
        lasting = self.spread, self.groups
        return disguise(broadcast, participants, direction, self.norm, self.noise, *lasting)


@dataclass(frozen=True)
class Directed(Disguised):
    """Base of the disguised attacks whose direction depends on the broadcast alone."""

    @abc.abstractmethod
    def direction(self, broadcast: Broadcast) -> Tensor:
        """Return ``v``, ``(d,)``, where all fakes go."""

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row another."""
        return self.dressed(broadcast, participants, self.direction(broadcast))


def disguise(
    broadcast: Broadcast,
    participants: Sequence[int],
    direction: Tensor,
    norm: float,
    noise: float,
    spread: float = 0.0,
    groups: int = 0,
) -> Tensor:
    """Return ``(k, d)`` float32, updates in a direction that look as if they had been trained.

    With ``G = w_t - w_{t-1}`` and a step ``S`` trained on synthetic images from ``w_t``:

    1. *spectrum*: in every weight matrix of the direction, the singular values after the second are
       scaled down until the first two weigh as much as in ``S``, by their share of the squares;
    2. *noise* of its own for each fake: to every matrix one of rank one, ``noise`` times as long,
       and one, ``spread`` times as long, that is the same in every round (and for all of a group);
    3. *dead set*: 0 wherever ``S`` is exactly 0;
    4. *class sums*: over the classes, each column of the last layer's weights sums to 0;
    5. *coherence*: biases are proportional to the sums of their rows, with the sign seen in ``G``,
       and so sum to 0 over the classes as well;
    6. *profile*: every tensor has the share of the norm that it has in ``G``;
    7. *norm*: in all ``norm * ||G||``.

    Zeros are sent where there is nothing to hide behind or nothing to hide: in the first round,
    after a round in which the model stood still, with a direction of 0 and once the model has been
    destroyed (is not finite).

    Args:
        broadcast: what the fakes see.
        participants: ``k`` indices.
        direction: ``(d,)`` of any length.
        norm: see 7, greater than 0.
        noise: gamma of 2, 0 or more.
        spread: of 2, 0 or more.
        groups: of 2, the number of groups they are drawn into; 0: each is one.

    Source: our own, made to pass the hard tests of the rule ``sentinel``.
    """
    step = last_step(broadcast)
    updates = torch.zeros(len(participants), step.numel())
    trained = synthetic_steps(broadcast, [0])[0].double()
    seen = torch.stack([step, trained, direction.double()])
    if not seen.isfinite().all() or not seen.any(1).all():
        return updates
    layers = weight_layers(broadcast.architecture)
    shaped = unit(direction.double())
    for layer in layers:
        concentrate(layer.matrix(shaped), leading_share(layer.matrix(trained)))
    for row, participant in zip(updates, participants, strict=True):
        update = shaped.clone()
        draw = generator(broadcast.seed, "disguise noise", broadcast.round_number, participant)
        noises = [(noise, draw)]
        if spread:
            group = random_group("group", participant, groups) if groups else participant
            lasting = generator(broadcast.seed, "disguise spread", participant=group)
            noises.append((spread, lasting))
        for layer in layers:
            for length, source in noises:
                _add_noise(layer.matrix(update), length, source)
        update[trained == 0] = 0
        _centre(layers[-1].matrix(update))
        for layer in layers:
            _align_bias(layer, update, step)
        update = with_profile(update, step, broadcast.architecture)
        row.copy_(norm * step.norm() * unit(update))
    return updates


@functools.cache
def weight_layers(architecture: models.Named) -> tuple[Layer, ...]:
    """Return the layers of a model that have a weight matrix, the classifier last."""
    places = dict(tensor_places(architecture))
    shapes = dict(models.layout(architecture))
    return tuple(
        Layer(place, shapes[name][0], places.get(name.removesuffix("weight") + "bias"))
        for name, place in places.items()
        if len(shapes[name]) > 1
    )


@functools.cache
def tensor_places(architecture: models.Named) -> tuple[tuple[str, slice], ...]:
    """Return where each of a model's tensors lies in the flat vector, by name."""
    places, first = [], 0
    for name, shape in models.layout(architecture):
        last = first + math.prod(shape)
        places.append((name, slice(first, last)))
        first = last
    return tuple(places)


def leading_share(matrix: Tensor) -> float:
    """Return the share of the first two singular values in the sum of the squares, 0 to 1."""
    squares = torch.linalg.svdvals(matrix).square()
    total = float(squares.sum())
    return float(squares[:_LEADING].sum()) / total if total > 0 else 1.0


def concentrate(matrix: Tensor, share: float) -> None:
    """Scale the singular values after the second down, in place, until the first two reach a share.

    Args:
        matrix: ``(rows, columns)`` float64.
        share: 0 to 1; a matrix that already has it stays as it is.
    """
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    leading = float(values[:_LEADING].square().sum())
    rest = float(values[_LEADING:].square().sum())
    if leading < share * (leading + rest):
        values[_LEADING:] *= math.sqrt(leading * (1 - share) / (share * rest))
        matrix.copy_((left * values) @ right)


def with_profile(update: Tensor, step: Tensor, architecture: models.Named) -> Tensor:
    """Return ``(d,)``, an update whose tensors have the norms that they have in ``step``.

    A tensor of zeros stays one.
    """
    shaped = update.clone()
    for _, place in tensor_places(architecture):
        shaped[place] = step[place].norm() * unit(update[place])
    return shaped


def _add_noise(matrix: Tensor, noise: float, draw: np.random.Generator) -> None:
    """Add a random matrix of rank one, ``noise`` times as long, in place."""
    outputs, inputs = (torch.from_numpy(draw.standard_normal(side)) for side in matrix.shape)
    matrix += noise * matrix.norm() * torch.outer(unit(outputs), unit(inputs))


def _centre(matrix: Tensor) -> None:
    """Make each column sum to 0, in place; what is exactly 0 stays so."""
    alive = matrix != 0
    matrix -= alive * (matrix.sum(0) / alive.sum(0).clamp(min=1))


def _align_bias(layer: Layer, update: Tensor, step: Tensor) -> None:
    """Make the biases follow the sums of their rows, in place, the way they do in ``step``."""
    if layer.bias is not None:
        in_step = torch.dot(layer.matrix(step).sum(1), step[layer.bias])
        sign = -1.0 if in_step < 0 else 1.0
        update[layer.bias] = sign * layer.matrix(update).sum(1)
