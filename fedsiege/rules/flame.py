"""FLAME: clustering by direction, clipping to the median norm, noise."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import Tensor

from fedsiege.numerics.clusters import majority_cluster
from fedsiege.numerics.cosines import cosines
from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import clipped_mean, median_of
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.noise import with_noise


@registry.register
@dataclass(frozen=True)
class Flame(Rule):
    r"""The mean of the largest cluster of directions, clipped to the median norm, plus noise.

    .. math::
        \frac{1}{|A|} \sum_{i \in A} g_i \min\left( 1, \frac{S}{\lVert g_i \rVert} \right)
        + \mathcal{N}\big( 0, (\lambda S)^2 I \big)

    where A is the one cluster that HDBSCAN with smallest cluster ``n // 2 + 1`` accepts by the
    cosine distances :math:`1 - \cos(g_i, g_j)`, S the median norm *of all participants*, and
    :math:`\lambda` the parameter ``noise``. There always is such a cluster: where directions form
    two clusters of equal size, or none, it is all updates; and so it is of fewer than 3. The noise
    has a length of about :math:`\lambda S \sqrt{d}`; it is drawn from the run's seed and the round.
    The paper has :math:`\lambda = 0.001` for images.

    There is no condition on n. Cost: :math:`O(n^2 d)`.

    That a single cluster must be allowed, with ``min_samples`` 1, is from public code. There, and
    in the paper, cosines are of local models; here they are of updates, which do not fade as the
    model grows.

    Source:
        Thien Duc Nguyen et al. `FLAME: Taming Backdoors in Federated Learning
        <https://arxiv.org/abs/2101.02281>`_. USENIX Security 2022, algorithm 1.
    """

    name: ClassVar[str] = "flame"
    summary: ClassVar[str] = (
        "mean of the largest cluster of directions, clipped to the median norm, plus noise"
    )
    accuses: ClassVar[bool] = True

    noise: Annotated[
        float,
        Ge(0),
        "standard deviation of the noise on each coordinate, as a multiple of the median norm",
    ] = 0.001

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate. The context gives seed and round of the noise."""
        accepted = majority_cluster(1 - cosines(updates))
        norms = row_norms(updates)
        bound = median_of(norms)
        mean = clipped_mean(updates, accepted, norms, bound)
        return Aggregation(with_noise(mean, self.noise * bound, "flame noise", context), accepted)
