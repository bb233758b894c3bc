"""Base of the mechanisms by which participants protect their updates."""

import abc
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from torch import Tensor

from fedsiege.privacy.gaussian import Release
from fedsiege.registry import Component, Registry

#: The stream of random numbers of the noise, see ``fedsiege.seeding``.
PURPOSE = "local privacy"


@dataclass(frozen=True)
class Mechanism(Component, abc.ABC):
    """Base of all mechanisms."""

    hostile: Annotated[
        bool, "whether hostile participants that train protect their updates, too"
    ] = False

    @property
    @abc.abstractmethod
    def release(self) -> Release:
        """What one update gives away to those who receive it."""

    @abc.abstractmethod
    def protect(self, update: Tensor, random: np.random.Generator) -> Tensor:
        """Return a protected update.

        Args:
            update: ``(p,)`` float32, the difference of all trained weights; not changed.
            random: draws the noise.
        """

    def remarks(self, size: int | None) -> list[str]:
        """Return what people should know of these parameters, a sentence each.

        Args:
            size: how many values of the model are trained; None where that is not known yet.
        """
        return []


registry: Registry[Mechanism] = Registry("privacy", Mechanism)


def names() -> list[str]:
    """Return the names of all mechanisms in alphabetical order."""
    return registry.names()


def parse(text: str) -> Mechanism | None:
    """Create a mechanism from text: ``ldp:epsilon=1,delta=1e-5,clip=1``; None from no text.

    Raises:
        InvalidValue: unknown name, or a parameter that is out of range or not taken.
    """
    return registry.parse(text) if text else None
