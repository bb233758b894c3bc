"""Noise that rules add to an aggregate."""

import numpy as np
import torch
from torch import Tensor

from fedsiege import seeding
from fedsiege.rules.context import RoundContext


def with_noise(update: Tensor, deviation: float, purpose: str, context: RoundContext) -> Tensor:
    """Return ``update + N(0, deviation^2 I)``, drawn from the run's seed and the round.

    Args:
        update: ``(d,)`` float32.
        deviation: standard deviation of each coordinate, 0 or more; with 0 nothing is drawn.
        purpose: what it is for: rules draw independently of each other.
        context: gives the seed and the round number.
    """
    if deviation == 0:
        return update
    random = seeding.generator(context.seed, purpose, context.round_number)
    noise = torch.from_numpy(random.standard_normal(len(update), np.float32))
    return update + deviation * noise.to(update.device)
