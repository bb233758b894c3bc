"""Clipping each update to a norm."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.numerics.distances import distances_to
from fedsiege.ranges import require_number
from fedsiege.rules.context import RoundContext
from fedsiege.rules.pre.base import Mixed, PreAggregator, Scaled, registry


@registry.register
@dataclass(frozen=True)
class Clipping(PreAggregator):
    """``g_i min(1, C / ||g_i||)``: no update is longer than C.

    Args:
        bound: C, above 0; None for the median norm of the round.
    """

    name: ClassVar[str] = "clipping"
    summary: ClassVar[str] = "clips updates to a bound or to their median norm"

    bound: float | None = None

    def __post_init__(self) -> None:
        if self.bound is not None:
            require_number(f"{self.name}:bound", self.bound, above=0)

    def transform(self, updates: Tensor, context: RoundContext) -> Mixed:
        """Do it; the context is not used."""
        norms = distances_to(updates)
        bound = self.bound or float(norms.quantile(0.5))
        return Scaled.to(updates, norms, bound)
