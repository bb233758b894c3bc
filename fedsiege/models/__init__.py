"""The models, their weights as one flat vector, and checkpoints.

- architectures.py  the architectures, by name
- weights.py        parameters of a module to and from the flat vector ``(d,)``
- stateless.py      the check that a model has no state besides its parameters
- checkpoints.py    weights in safetensors files

A model is added in ``architectures.py``; nothing else has to know of it.
"""

from fedsiege.models.architectures import Architecture, create, names, registry
from fedsiege.models.checkpoints import (
    WORDS,
    checkpoint_path,
    find_checkpoint,
    initial_weights,
    read_checkpoint,
    read_finite,
    sha256,
    shipped_checkpoint,
    write_checkpoint,
)
from fedsiege.models.weights import flatten, layout, random_weights, size, unflatten_into

__all__ = [
    "WORDS",
    "Architecture",
    "checkpoint_path",
    "create",
    "find_checkpoint",
    "flatten",
    "initial_weights",
    "layout",
    "names",
    "random_weights",
    "read_checkpoint",
    "read_finite",
    "registry",
    "sha256",
    "shipped_checkpoint",
    "size",
    "unflatten_into",
    "write_checkpoint",
]
