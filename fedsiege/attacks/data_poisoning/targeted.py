"""Attacks that want certain inputs to be taken for certain classes."""

import abc

from torch import Tensor


class Targeted(abc.ABC):
    """Base of the attacks that have a success rate, see ``fedsiege.experiment.attack_success``."""

    @property
    def targeted(self) -> bool:
        """Whether it, as parameterised, has a target."""
        return True

    @abc.abstractmethod
    def probe(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return what the attacker would show to the model, and as what it wants it classified.

        Inputs whose true label is the target already are left out: they prove nothing.

        Args:
            images: ``(M, 1, 28, 28)`` float32 held-out inputs, -1 black to 1 white; nobody trained
                on them. Not changed.
            labels: ``(M,)`` int64, their true labels.
            seed: the run's seed.

        Returns:
            Inputs ``(K, 1, 28, 28)`` and targets ``(K,)`` int64; K may be 0.
        """
