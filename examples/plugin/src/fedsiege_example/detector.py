"""Updates that point away from the others."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt, Le
from torch import Tensor
from torch.nn import functional

from fedsiege.detectors import Detector
from fedsiege.rules import RoundContext


@dataclass(frozen=True)
class Direction(Detector):
    r"""Flag updates whose direction is far from that of the median.

    With :math:`m` the coordinate-wise median of the updates of the round, the score of an update is

    .. math::

        s_i = \frac{1 - \cos(g_i, m)}{\text{distance}}

    A score of 1 or more is a flag. Nothing is remembered from round to round.

    Source:
        An example of FedSiege.
    """

    name: ClassVar[str] = "direction"
    summary: ClassVar[str] = "flags updates that point away from the median"

    distance: Annotated[float, Gt(0), Le(2), "cosine distance from the median that is a flag"] = 1.2

    def judge(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> tuple[Tensor, None]:
        """Score ``(n, d)`` finite updates; return ``(n,)`` and nothing to remember."""
        median = updates.median(dim=0).values
        cosines = functional.cosine_similarity(updates.double(), median.double()[None])
        return ((1 - cosines) / self.distance).cpu(), None
