"""The weights of a model as one flat float32 vector ``(d,)``, in the order of its parameters.

Rules, attacks and messages use this vector. Each parameter is stored in row-major order, whatever
its memory format in a module.
"""

import functools
import math

import torch
from torch import Tensor, nn

from fedsiege import seeding
from fedsiege.errors import InvalidValue
from fedsiege.models import architectures
from fedsiege.models.stateless import refuse_buffers, refuse_state

Layout = tuple[tuple[str, tuple[int, ...]], ...]


@functools.cache
def layout(name: str) -> Layout:
    """Return the names and shapes of a model's parameters in the order of the flat vector.

    Raises:
        InvalidValue: the model is unknown, or has state besides its parameters.
    """
    model = architectures.registry.parse(name)
    with torch.device("meta"):  # shapes only: nothing is allocated or drawn
        module = model.build()
    refuse_state(module, name)
    return tuple((key, tuple(value.shape)) for key, value in module.named_parameters())


def size(name: str) -> int:
    """Return ``d``, the number of weights of a model.

    Raises:
        InvalidValue: the model is unknown.
    """
    return sum(math.prod(shape) for _, shape in layout(name))


def flatten(module: nn.Module) -> Tensor:
    """Return a copy of a module's parameters as ``(d,)`` float32 on its device.

    Raises:
        InvalidValue: the module has buffers, which the vector does not include.
    """
    refuse_buffers(module, type(module).__name__)
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()]).float()


def unflatten_into(module: nn.Module, weights: Tensor) -> None:
    """Copy ``weights``, ``(d,)``, into the parameters of a module.

    Raises:
        InvalidValue: the vector has another shape, or the module has buffers, which the vector does
            not include; the module is unchanged.
    """
    refuse_buffers(module, type(module).__name__)
    parameters = list(module.parameters())
    d = sum(parameter.numel() for parameter in parameters)
    if weights.shape != (d,):
        raise InvalidValue("weights", tuple(weights.shape), f"this model takes the shape ({d},)")
    pieces = torch.split(weights, [parameter.numel() for parameter in parameters])
    with torch.no_grad():
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.copy_(piece.view(parameter.shape))


def random_weights(name: str, seed: int, purpose: str = "initial weights") -> Tensor:
    """Return torch's default initialisation of a model, ``(d,)`` float32.

    For all layers of the shipped models it is U(-1/sqrt(fan_in), 1/sqrt(fan_in)), for weights and
    biases.

    Args:
        name: the name of the model.
        seed: the run's seed; the same seed and purpose give the same weights.
        purpose: the name of the random stream, see ``seeding.sequence``.

    Raises:
        InvalidValue: the model is unknown.
    """
    torch_seed = seeding.torch_generator(seed, purpose).initial_seed()
    return flatten(architectures.create_seeded(name, torch_seed))
