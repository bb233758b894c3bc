"""Coordinates that no honest participant moves: a fake without data does not know them."""

import torch
from torch import Tensor

from fedsiege.numerics.matrix import column_blocks

#: Numbers of a block: 2 MiB of float32.
_BLOCK = 2**19
#: The dead set must have this share of all coordinates to tell anything.
_LEAST = 0.005


def dead_shares(updates: Tensor) -> Tensor:
    """Return which share of the dead set each update leaves alone.

    Behind a ReLU that never opens, or a pixel that is never lit, gradients are exactly 0. The dead
    set are the coordinates that are exactly 0 in at least half of the updates.

    Args:
        updates: ``(n, d)`` floating point.

    Returns:
        ``(n,)`` float64 on the CPU, in [0, 1]; 0 for all where fewer than 0.5 % of the coordinates
        are dead.
    """
    n, d = updates.shape
    size = torch.zeros((), device=updates.device)
    shares = torch.zeros(n, device=updates.device)
    for columns in column_blocks(d, max(1, _BLOCK // n)):
        still = (updates[:, columns] == 0).float()
        dead = (still.sum(dim=0) >= n / 2).float()
        size += dead.sum()
        shares += still @ dead
    if float(size) < max(1.0, _LEAST * d):
        return torch.zeros(n, dtype=torch.float64)
    return (shares / size).double().cpu()
