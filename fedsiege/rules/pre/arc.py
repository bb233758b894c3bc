"""Adaptive robust clipping."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.distances import distances_to
from fedsiege.rules.context import RoundContext
from fedsiege.rules.pre.base import Mixed, Scaled, TolerantPreAggregator, registry


@registry.register
@dataclass(frozen=True)
class ARC(TolerantPreAggregator):
    """Clips the ``k = floor(2 f (n - f) / n)`` longest updates to the norm of the next longest.

    Unlike a fixed bound it keeps the guarantees of the rule behind it. It needs ``2 f < n``.

    Allouah, Guerraoui, Gupta, Jellouli, Rizk, Stephan, *Adaptive Gradient Clipping for Robust
    Federated Learning*, ICLR 2025, arXiv 2405.14432, algorithm 2.
    """

    name: ClassVar[str] = "arc"
    summary: ClassVar[str] = (
        "clips the longest updates to the norm of the next longest; how many follows from f"
    )

    def check(self, n: int) -> None:
        """Raise UnfitRound unless more than 2 f updates are there."""
        f = self.tolerated
        if n <= 2 * f:
            raise UnfitRound(
                f"{self.name} with f={f} needs more than 2f = {2 * f} updates, there are {n}"
            )

    def transform(self, updates: Tensor, context: RoundContext) -> Mixed:
        """Clip the updates; the context is not used."""
        n, f = len(updates), self.tolerated
        norms = distances_to(updates)
        # In whole numbers: 2 * (f / n) * (n - f) in floating point can fall below what it is.
        bound = float(norms.sort().values[n - 2 * f * (n - f) // n - 1])
        return Scaled.to(updates, norms, bound)
