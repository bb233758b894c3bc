"""Federated averaging."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.numerics.running_sum import LARGEST_WEIGHT
from fedsiege.ranges import samples_cut
from fedsiege.rules.base import Aggregation, registry, require_whole_number
from fedsiege.rules.context import RoundContext
from fedsiege.rules.streaming import StreamingRule


@registry.register
@dataclass(frozen=True)
class FedAvg(StreamingRule):
    """The mean of the updates: ``sum_i n_i g_i / sum_i n_i``, all ``n_i = 1`` unless weighted.

    No defence: one update among n moves the model as far as it likes. A sample count is only what
    a participant says, so it is bounded; a round in which that cuts a count says so in its remarks.

    Terms are rounded to multiples of 2^-50, see ``RunningSum``: of updates whose numbers are all
    below 4e-16 the mean is 0.

    McMahan et al., *Communication-Efficient Learning of Deep Networks from Decentralized Data*,
    AISTATS 2017, algorithm 1.

    Args:
        weighted: weigh each update by the sample count ``n_i`` that its participant reports.
        bound: the largest ``n_i`` that is believed, 1 to 4096; counts below 1 count as 1.
    """

    name: ClassVar[str] = "fedavg"
    summary: ClassVar[str] = "the mean, on request weighted by bounded sample counts"
    measures: ClassVar[bool] = False
    by_coordinate: ClassVar[bool] = True

    weighted: bool = False
    bound: int = 1000

    def __post_init__(self) -> None:
        if not isinstance(self.weighted, bool):
            raise InvalidValue(f"{self.name}:weighted", self.weighted, "true or false")
        # Beyond that a single row could be too large for the sum.
        require_whole_number(f"{self.name}:bound", self.bound, least=1, most=LARGEST_WEIGHT)

    def weight_of(self, norm: float, num_samples: int) -> float:
        """Return the believed sample count, or 1 if not weighted."""
        return float(min(max(num_samples, 1), self.bound)) if self.weighted else 1.0

    def mass_of(self, norm: float, num_samples: int) -> float:
        """Return the same as ``weight_of``."""
        return self.weight_of(norm, num_samples)

    def remarks_on(self, counts: Sequence[int]) -> tuple[str, ...]:
        """Say whose sample counts the bound cuts."""
        if not self.weighted:
            return ()
        return tuple(samples_cut(self.name, counts, self.bound, LARGEST_WEIGHT))

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; a weighted mean without sample counts raises UnfitRound."""
        if self.weighted and context.weights is None:
            raise UnfitRound(f"{self.name} with weighted=True needs the sample counts")
        return super().combine(updates, context)

    def at_once(self, updates: Tensor, context: RoundContext) -> Aggregation | None:
        """Aggregate in one pass."""
        if self.weighted and context.weights is None:
            return None
        return super().at_once(updates, context)
