"""The weights of a model as one flat float32 vector ``(d,)``, parameters first, then buffers.

Rules, attacks and messages use this vector. Each tensor is stored in row-major order, whatever
its memory format in a module.
"""

import torch
from torch import Tensor, nn

from fedsiege import seeding
from fedsiege.errors import InvalidValue
from fedsiege.models.base import Named, classifier
from fedsiege.models.state import tensors


def flatten(module: nn.Module) -> Tensor:
    """Return a copy of a module's parameters and buffers as ``(d,)`` float32 on its device."""
    return torch.cat([value.detach().reshape(-1) for _, value in tensors(module)]).float()


def unflatten_into(module: nn.Module, weights: Tensor) -> None:
    """Copy ``weights``, ``(d,)``, into the parameters and buffers of a module.

    Raises:
        InvalidValue: the vector has another shape; the module is unchanged.
    """
    places = [value for _, value in tensors(module)]
    d = sum(place.numel() for place in places)
    if weights.shape != (d,):
        raise InvalidValue("weights", tuple(weights.shape), f"this model takes the shape ({d},)")
    pieces = torch.split(weights, [place.numel() for place in places])
    with torch.no_grad():
        for place, piece in zip(places, pieces, strict=True):
            place.copy_(piece.view(place.shape))


def random_weights(named: Named, seed: int, purpose: str = "initial weights") -> Tensor:
    """Return torch's default initialisation of a model, ``(d,)`` float32.

    For all layers of the shipped models it is U(-1/sqrt(fan_in), 1/sqrt(fan_in)), for weights and
    biases.

    Args:
        named: the model.
        seed: the run's seed; the same seed and purpose give the same weights.
        purpose: the name of the random stream, see ``seeding.sequence``.

    Raises:
        InvalidValue: the model is unknown.
    """
    torch_seed = seeding.torch_generator(seed, purpose).initial_seed()
    return flatten(classifier(named).create(torch_seed))
