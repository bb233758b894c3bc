"""The models, their weights as one flat vector, and checkpoints.

- architectures.py  the base of models, and the built-in ones by name
- weights.py        parameters of a module to and from the flat vector ``(d,)``
- stateless.py      the check that a model has no state besides its parameters
- checkpoints.py    weights in safetensors files

A model is added in ``architectures.py``; nothing else has to know of it.
"""

from typing import TYPE_CHECKING

from fedsiege.models.architectures import Model, check_shapes, create, names, registry
from fedsiege.models.checkpoints import (
    WORDS,
    checkpoint_name,
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
from fedsiege.renamed import renamed

__all__ = [
    "WORDS",
    "Model",
    "check_shapes",
    "checkpoint_name",
    "checkpoint_path",
    "create",
    "find_checkpoint",
    "flatten",
    "initial_weights",
    "layout",
    "names",
    "parameters",
    "parse",
    "random_weights",
    "read_checkpoint",
    "read_finite",
    "register",
    "registry",
    "sha256",
    "shipped_checkpoint",
    "size",
    "unflatten_into",
    "write_checkpoint",
]

parameters = registry.parameters
parse = registry.parse
register = registry.register

if not TYPE_CHECKING:  # else no type checker would find a wrong name
    __getattr__ = renamed(__name__, Architecture="Model", catalogue="registry")
