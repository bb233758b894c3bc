"""The base of attacks on the training data: labels, and which samples are poisoned."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from fedsiege.attacks.base import Attack
from fedsiege.errors import InvalidValue
from fedsiege.seeding import generator

#: Every data set and every model of FedSiege has ten classes.
CLASSES = 10
#: A class, as a parameter.
Label = Annotated[int, Ge(0), Le(CLASSES - 1)]
#: A share that is not nothing, as a parameter.
Share = Annotated[float, Gt(0), Le(1)]


def require_another(attack: Attack, source: int, target: int) -> None:
    """Raise InvalidValue if the class to be misclassified is the target itself."""
    if source == target:
        raise InvalidValue(f"{attack.name}:target", target, f"another class than source={source}")


def count(samples: int, concentration: float) -> int:
    """Return how many samples to poison: a share in (0, 1], rounded, at least one if there is one.

    Halves are rounded to the even number, as everywhere in Python.
    """
    return min(samples, max(1, round(concentration * samples)))


def choose(positions: Tensor, number: int, seed: int, participant: int) -> Tensor:
    """Return ``(number,)`` of some positions, drawn without replacement.

    The draw depends on seed and participant alone, so it is the same in every round; a larger
    number gives the same positions and more.
    """
    order = generator(seed, "poisoned samples", 0, participant).permutation(len(positions))
    return positions[torch.from_numpy(order[:number]).to(positions.device)]
