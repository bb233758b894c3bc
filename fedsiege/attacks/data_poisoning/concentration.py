"""Poison concentration: how many of its own samples an attacker poisons, and which."""

import torch
from torch import Tensor

from fedsiege.attacks.base import Attack
from fedsiege.errors import InvalidValue
from fedsiege.seeding import generator


def count(samples: int, concentration: float) -> int:
    """Return how many samples to poison: a share in (0, 1], rounded, one at least if there is one.

    Halves go to the even number, as everywhere in Python.
    """
    return min(samples, max(1, round(concentration * samples)))


def choose(positions: Tensor, number: int, seed: int, participant: int) -> Tensor:
    """Return ``(number,)`` of some positions, drawn without replacement.

    By seed and participant alone, so that they are the same in every round; a larger number gives
    these and more.
    """
    order = generator(seed, "poisoned samples", 0, participant).permutation(len(positions))
    return positions[torch.from_numpy(order[:number]).to(positions.device)]


def require_share(attack: Attack, parameter: str) -> None:
    """Check that a parameter is a share that is not nothing.

    Raises:
        InvalidValue: it is not in (0, 1].
    """
    value = getattr(attack, parameter)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= 1:
        raise InvalidValue(f"{attack.name}:{parameter}", value, "above 0, at most 1")
