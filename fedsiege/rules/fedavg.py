"""Federated averaging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from fedsiege.numerics.running_sum import LARGEST_WEIGHT
from fedsiege.rules.base import registry, samples_cut
from fedsiege.rules.streaming import StreamingRule


@registry.register
@dataclass(frozen=True)
class FedAvg(StreamingRule):
    r"""The mean of the updates, plain or weighted by the reported sample counts.

    .. math::
        \frac{\sum_{i=1}^n n_i\, g_i}{\sum_{i=1}^n n_i}

    where :math:`n_i` is the number of samples that participant i reports, cut to the range from 1
    to ``bound``; without ``weighted`` all :math:`n_i` are 1.

    It is no defence: one update among n moves the model as far as it likes. A sample count is a
    participant's own claim, which is why it is bounded; a round in which the bound cuts a count has
    a remark.

    Cost: :math:`O(n d)`; the updates can be taken one by one, without the matrix. Terms are rounded
    to multiples of :math:`2^{-50}`, see ``RunningSum``: the mean of updates whose values are all
    below 4e-16 is 0.

    Source:
        H. Brendan McMahan, Eider Moore, Daniel Ramage, Seth Hampson, Blaise Agüera y Arcas.
        `Communication-Efficient Learning of Deep Networks from Decentralized Data
        <https://arxiv.org/abs/1602.05629>`_. AISTATS 2017, algorithm 1, which averages models; the
        mean of the updates moves the model to the same place.
    """

    name: ClassVar[str] = "fedavg"
    summary: ClassVar[str] = "plain mean, or weighted by the reported sample counts (no defence)"
    measures: ClassVar[bool] = False
    by_coordinate: ClassVar[bool] = True

    needs_if: ClassVar[Mapping[str, str]] = {"weighted": "weights"}

    weighted: Annotated[
        bool, "weight each update by the sample count that its participant reports"
    ] = False
    bound: Annotated[int, Ge(1), Le(LARGEST_WEIGHT), "largest sample count that is believed"] = 1000

    @property
    def uses_reports(self) -> bool:
        """Whether it weighs updates by the sample counts that participants report."""
        return self.weighted

    def weight_of(self, norm: float, num_samples: int) -> float:
        """Return the believed sample count, or 1 if not weighted."""
        return float(min(max(num_samples, 1), self.bound)) if self.weighted else 1.0

    def mass_of(self, norm: float, num_samples: int) -> float:
        """Return the same as ``weight_of``."""
        return self.weight_of(norm, num_samples)

    def remarks_on(self, counts: Sequence[int]) -> tuple[str, ...]:
        """Return a remark if the bound cuts sample counts."""
        if not self.weighted:
            return ()
        return tuple(samples_cut(self.name, counts, self.bound, LARGEST_WEIGHT))
