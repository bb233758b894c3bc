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
    r"""Clips the longest updates to the norm of the next longest; how many follows from f.

    .. math::
        g_i \leftarrow g_i \min\left( 1, \frac{C}{\lVert g_i \rVert} \right), \qquad
        C = \lVert g \rVert_{(n - k)}, \qquad
        k = \left\lfloor \frac{2 f (n - f)}{n} \right\rfloor

    where :math:`\lVert g \rVert_{(1)} \le \ldots \le \lVert g \rVert_{(n)}` are the norms of the
    updates in order: the k longest are clipped to the norm of the next longest.

    Unlike a fixed bound it keeps the guarantees of the rule behind it. It needs :math:`2f < n`.
    Cost: :math:`O(n d)`.

    Source:
        Youssef Allouah, Rachid Guerraoui, Nirupam Gupta, Ahmed Jellouli, Geovani Rizk, John
        Stephan. `Adaptive Gradient Clipping for Robust Federated Learning
        <https://arxiv.org/abs/2405.14432>`_. ICLR 2025, algorithm 2.
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
