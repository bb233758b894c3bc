"""The network that updates are of: a module of the caller, or a model of the catalogue by name."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import nn

from fedsiege import models
from fedsiege.errors import UnfitRound
from fedsiege.inputs import MNIST_LIKE
from fedsiege.models.state import refuse_mixing, tensors
from fedsiege.rules.updates import Layout

#: A module, a function that builds one, or a model of the catalogue, by name or not.
Network: TypeAlias = nn.Module | Callable[[], nn.Module] | models.Model | models.Named


def build(network: Network) -> nn.Module:
    """Return a new module of a network, in training mode.

    Raises:
        InvalidValue: the name is unknown, or the module has state besides its parameters, such as
            batch normalisation's running statistics.
        UnfitRound: it is no module.
    """
    if isinstance(network, str | models.Classifier):
        return models.create(network)
    if isinstance(network, nn.Module):
        module = copy.deepcopy(network)
    else:
        module = network.build(MNIST_LIKE) if isinstance(network, models.Model) else network()
    if not isinstance(module, nn.Module):
        raise UnfitRound(
            f"architecture builds a {type(module).__name__}; wanted is a torch.nn.Module"
        )
    refuse_mixing(module, type(module).__name__)
    return module.train()


def layout_of(network: Network) -> Layout:
    """Return name and shape of each parameter of a network, in the order of the flat vector.

    Raises:
        InvalidValue, UnfitRound: as for ``build``.
    """
    if isinstance(network, str | models.Classifier):
        return models.layout(network)
    return tuple((name, tuple(value.shape)) for name, value in tensors(build(network)))


def trained_of(network: Network) -> int:
    """Return ``p``, how many of the first weights of a network are parameters.

    Raises:
        InvalidValue, UnfitRound: as for ``build``.
    """
    return sum(parameter.numel() for parameter in build(network).parameters())


def by_name(module: nn.Module, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the tensors of a module that lie in ``(d,)`` weights, as views, for a functional call.

    Buffers are detached: torch computes no gradient of running statistics, and refuses to.
    """
    places = tensors(module)
    pieces = torch.split(weights, [place.numel() for _, place in places])
    return {
        name: (piece if isinstance(place, nn.Parameter) else piece.detach()).view(place.shape)
        for (name, place), piece in zip(places, pieces, strict=True)
    }


def input_shape_of(network: Network) -> tuple[int, ...]:
    """Return the shape of one input of a network, empty where only the caller can know it."""
    if isinstance(network, models.Model):
        return MNIST_LIKE.shape
    if isinstance(network, str | models.Classifier):
        return models.classifier(network).inputs.shape
    return ()


def size_of(network: Network) -> int:
    """Return ``d``, the number of weights of a network.

    Raises:
        InvalidValue, UnfitRound: as for ``build``.
    """
    return sum(math.prod(shape) for _, shape in layout_of(network))


def classes_of(network: Network, input_shape: Sequence[int]) -> int:
    """Return how many classes a network tells apart.

    Raises:
        UnfitRound: it does not take inputs of that shape, or returns no logits ``(N, classes)``.
    """
    module = build(network).eval()
    weight = next(module.parameters())
    inputs = torch.zeros(1, *input_shape, device=weight.device, dtype=weight.dtype)
    try:
        with torch.no_grad():
            logits = module(inputs)
    except RuntimeError as error:
        raise UnfitRound(
            f"the architecture does not take inputs of shape {tuple(input_shape)}: {error}"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise UnfitRound("the architecture must return logits (N, classes)")
    return int(logits.shape[1])
