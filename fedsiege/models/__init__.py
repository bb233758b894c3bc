"""The models a federation can train, their weights as one flat vector, and checkpoints.

A model is added in ``architectures.py``; nothing else has to know of it.
"""

from fedsiege.models.architectures import Architecture, catalogue, create, names
from fedsiege.models.checkpoints import (
    checkpoint_path,
    initial_weights,
    read_checkpoint,
    write_checkpoint,
)
from fedsiege.models.weights import flatten, layout, random_weights, size, unflatten_into

__all__ = [
    "Architecture",
    "catalogue",
    "checkpoint_path",
    "create",
    "flatten",
    "initial_weights",
    "layout",
    "names",
    "random_weights",
    "read_checkpoint",
    "size",
    "unflatten_into",
    "write_checkpoint",
]
