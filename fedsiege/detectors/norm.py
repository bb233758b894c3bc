"""Updates much longer than the others."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor

from fedsiege.detectors.base import Detector, registry
from fedsiege.numerics.deviation import FEWEST, distinct, robust_z
from fedsiege.numerics.distances import row_norms
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class Norm(Detector):
    r"""Flags updates much longer than the others.

    .. math::
        s_i = \frac{1}{z} \cdot \frac{x_i - m}{\max(1.4826\, \mathrm{MAD}, \text{floor})}, \qquad
        x_i = \log \lVert g_i \rVert

    where m is the median of the :math:`x_i` over the round and MAD the median of :math:`|x_i - m|`,
    in both of which identical updates count once; z and floor are parameters. The second factor is
    the modified z-score.

    Only long updates are flagged: a short one does little, and honest participants send short ones
    where the model already knows their samples. An update of zeros has the score 0, and so have all
    in a round of fewer than 3. A floor of 0.25 allows e times the median length at z = 4.

    It works against fewer than half of the participants. It does not see fakes that match the
    length of honest updates (mpaf-matched), nor, where honest lengths differ widely, as with 4
    samples each and a trained model, MPAF with lambda 1. Cost: :math:`O(n d)`.

    Source:
        FedSiege, see :doc:`/detectors`. The modified z-score is that of Boris Iglewicz, David
        Hoaglin. *How to Detect and Handle Outliers*. ASQC Quality Press, 1993; see the `NIST
        handbook <https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm>`_.
    """

    name: ClassVar[str] = "norm"
    summary: ClassVar[str] = "flags updates much longer than the median"

    z: Annotated[float, Gt(0), "modified z-score that is flagged"] = 4.0
    floor: Annotated[
        float, Gt(0), "least spread of the log norms that a deviation is measured by"
    ] = 0.25

    @property
    def least(self) -> int:
        """Three: of two updates neither is the outlier."""
        return FEWEST

    def judge(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> tuple[Tensor, None]:
        """Score the updates; nothing is remembered."""
        z = robust_z(row_norms(updates).log(), self.floor, distinct(updates))
        return z / self.z, None
