"""Vectors that several attacks are made of."""

import torch
from torch import Tensor

from fedsiege.attacks.base import Broadcast


def last_step(broadcast: Broadcast) -> Tensor:
    """Return ``G = w_t - w_{t-1}``, ``(d,)`` in float64; zeros in the first round."""
    model = broadcast.model.to(torch.float64)
    if broadcast.previous is None:
        return torch.zeros_like(model)
    return model - broadcast.previous.to(model)


def unit(vector: Tensor) -> Tensor:
    """Return the vector at length 1; zeros stay zeros."""
    norm = float(vector.norm())
    return vector / norm if norm > 0 else torch.zeros_like(vector)
