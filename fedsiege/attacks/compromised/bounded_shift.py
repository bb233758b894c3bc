"""What Min-Max and Min-Sum share: a mean that is shifted as far as it stays hidden."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack
from fedsiege.attacks.compromised.sample import deviation, mean, same_row, usable_sample
from fedsiege.attacks.fake.mpaf_matched import unit
from fedsiege.errors import InvalidValue

PERTURBATIONS = ("std", "unit", "sign")
#: By how much gamma stays below its bound, so that rounding to float32 does not carry it over.
_MARGIN = 1e-6


@dataclass(frozen=True)
class BoundedShift(CompromisedAttack):
    """Base of Min-Max and Min-Sum: ``g = mu + gamma p`` with the largest gamma that stays hidden.

    Args:
        knowledge: ``partial`` or ``full``.
        perturbation: p, by the mean mu and the standard deviation sigma of each coordinate of the
            sample: ``std``: -sigma; ``unit``: -mu / ||mu||; ``sign``: -sign(mu).

    Raises:
        InvalidValue: a value is out of its range.
        UnfitRound: (in a round) fewer than 2 usable updates, which have no distance.
    """

    perturbation: str = "std"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.perturbation not in PERTURBATIONS:
            allowed = ", ".join(PERTURBATIONS)
            raise InvalidValue(f"{self.name}:perturbation", self.perturbation, allowed)

    @property
    def least(self) -> int:
        """Two: one update has no distance."""
        return 2

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        rows = usable_sample(self, broadcast)
        center = mean(rows)
        direction = self._direction(rows, center)
        gamma = (1 - _MARGIN) * self.largest_gamma(rows, center, direction)
        return same_row(center + gamma * direction, len(participants))

    def _direction(self, rows: Tensor, center: Tensor) -> Tensor:
        """Return p at length 1, ``(d,)`` float64: gamma makes up for its length.

        Zeros where every update is the mean, or the mean is 0: there is nowhere to go.
        """
        if self.perturbation == "std":
            return -unit(deviation(rows))
        return -unit(center.sign() if self.perturbation == "sign" else center)

    @abc.abstractmethod
    def largest_gamma(self, rows: Tensor, center: Tensor, direction: Tensor) -> float:
        """Return the largest gamma for which ``center + gamma direction`` keeps the bound.

        Args:
            rows: ``(m, d)``, m at least 2.
            center: ``(d,)`` float64, their mean.
            direction: ``(d,)`` float64, of length 1.
        """
