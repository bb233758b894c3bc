"""FLAME: clustering by direction, clipping to the median norm, noise."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import Tensor

from fedsiege.numerics.clusters import majority_cluster
from fedsiege.numerics.cosines import cosines
from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import clipped_mean, median_of
from fedsiege.rules.base import Aggregation, Rule, registry, with_noise
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class Flame(Rule):
    """The mean of the largest cluster of directions, clipped to the median norm, plus noise.

    HDBSCAN with smallest cluster ``n // 2 + 1`` on the cosine distances accepts one cluster.
    Updates longer than ``S``, the median norm *of all participants*, are scaled down to it. The
    mean of the accepted updates gets noise ``N(0, (noise S)^2)`` on each coordinate, of length
    ``noise S sqrt(d)``; the paper has 0.001 for images. There always is such a cluster: where
    directions form two clusters of equal size, or none, it is all updates.

    Nguyen et al., *FLAME: Taming Backdoors in Federated Learning*, USENIX Security 2022, algorithm
    1. That a single cluster must be allowed, with ``min_samples`` 1, is from public code. (There,
    and in the paper, cosines are of local models; cosines of updates do not fade as the model
    grows.)
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
