"""Winsorised mean."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from fedsiege.rules import Aggregation, RoundContext, Rule


@dataclass(frozen=True)
class WinsorizedMean(Rule):
    r"""Average each coordinate, with its extreme values replaced by the next ones.

    With :math:`x_{(1)} \le \dots \le x_{(n)}` the values of a coordinate in order and
    :math:`k = \lfloor \text{share} \cdot n \rfloor`:

    .. math::

        \frac{1}{n} \sum_{i=1}^{n} \min(\max(x_i, x_{(k+1)}), x_{(n-k)})

    Source:
        Frank R. Hampel et al., `Robust Statistics <https://doi.org/10.1002/9781118186435>`_,
        Wiley 1986.
    """

    name: ClassVar[str] = "winsorized-mean"
    summary: ClassVar[str] = "mean of each coordinate, its extreme values pulled in"
    #: Coordinates do not depend on each other, so that some can be aggregated at a time.
    by_coordinate: ClassVar[bool] = True

    share: Annotated[float, Ge(0), Lt(0.5), "share of the values pulled in at each end"] = 0.2

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate ``(n, d)``; every row counts, the context is not used."""
        n = len(updates)
        k = int(self.share * n)
        ordered = updates.sort(dim=0).values
        update = updates.clamp(ordered[k], ordered[n - 1 - k]).mean(dim=0)
        return Aggregation(update, accepted=torch.ones(n, dtype=torch.bool))
