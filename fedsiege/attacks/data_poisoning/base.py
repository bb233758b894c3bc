"""The base of attacks on the training data: labels, and which samples are poisoned."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from fedsiege.attacks.base import Attack
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.inputs import MOST_CLASSES, Inputs
from fedsiege.seeding import generator

#: A class, as a parameter; the data set says how many there are.
Label = Annotated[int, Ge(0), Le(MOST_CLASSES - 1)]
#: A share that is not nothing, as a parameter.
Share = Annotated[float, Gt(0), Le(1)]


def require_another(attack: Attack, source: int, target: int) -> None:
    """Raise InvalidValue if the class to be misclassified is the target itself."""
    if source == target:
        raise InvalidValue(f"{attack.name}:target", target, f"another class than source={source}")


def require_classes(attack: Attack, inputs: Inputs | None, *names: str) -> None:
    """Raise InvalidValue if a parameter is a class that the data set does not have.

    Args:
        attack: the attack.
        inputs: what the data set has; None where that is not known yet.
        names: the parameters that are classes.
    """
    for name in names:
        label = getattr(attack, name)
        if inputs is not None and label >= inputs.classes:
            allowed = f"a class of the data set, 0 to {inputs.classes - 1}"
            raise InvalidValue(f"{attack.name}:{name}", label, allowed)


def require_pictures(attack: Attack, inputs: Inputs | None, side: int = 1) -> None:
    """Raise UnfitRound unless samples are pictures of at least that many rows and columns."""
    if inputs is None:
        return
    if not inputs.pictures:
        raise UnfitRound(f"{attack.name} needs pictures; the data set has {inputs.words}")
    if min(inputs.shape[1:]) < side:
        needed = f"{attack.name} needs pictures of {side}x{side} or more"
        raise UnfitRound(f"{needed}; the data set has {inputs.words}")


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
