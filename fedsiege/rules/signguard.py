"""SignGuard: filters by norm and by the statistics of signs."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from fedsiege import seeding
from fedsiege.errors import UnfitRound
from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import clipped_mean, median_of
from fedsiege.rules.base import Aggregation, Rule, keep_model, registry
from fedsiege.rules.context import RoundContext

#: Among fewer, each row is a cluster of its own, and the one with most positive signs counts.
_FEWEST = 4
#: A bandwidth of 0, where half of the rows have the same signs, would be no mean shift at all.
_NARROWEST = 1e-3


@registry.register
@dataclass(frozen=True)
class SignGuard(Rule):
    r"""The clipped mean of the updates with a usual norm and usual shares of signs.

    .. math::
        \frac{1}{|A|} \sum_{i \in A} g_i \min\left( 1, \frac{M}{\lVert g_i \rVert} \right), \qquad
        A = \big\{\, i \in C : l\, M \le \lVert g_i \rVert \le u\, M \,\big\}

    where M is the median norm of all rows, l and u are the parameters ``lower`` and ``upper``, and
    C is the largest cluster by signs: on a window of ``share d`` neighbouring coordinates at a
    random position, the shares of positive, zero and negative values of each row (each divided by
    its largest over the rows) are clustered by mean shift. Where no row passes both tests, the
    model is kept: an update of zeros, no row accepted.

    It needs 4 updates or more: of fewer, each would be a cluster of its own, and the one with the
    most positive signs the largest. Cost: :math:`O(n d)`, and :math:`O(n^2)` for the clusters.

    Window, features and bandwidth (0.5 quantile) are confirmed against the authors' code. The
    bandwidth follows from all rows, not from 50 drawn ones, so that the order of rows does not
    matter.

    Source:
        Jian Xu, Shao-Lun Huang, Linqi Song, Tian Lan. `Byzantine-robust Federated Learning through
        Collaborative Malicious Gradient Filtering <https://arxiv.org/abs/2109.05872>`_. ICDCS 2022,
        algorithm 2 (plain SignGuard). Code: `JianXu95/SignGuard
        <https://github.com/JianXu95/SignGuard>`_.
    """

    name: ClassVar[str] = "signguard"
    summary: ClassVar[str] = (
        "clipped mean of the updates with usual norms and usual shares of signs"
    )
    accuses: ClassVar[bool] = True

    lower: Annotated[
        float, Ge(0), Lt(1), "least norm of an accepted update, as a share of the median norm"
    ] = 0.1
    upper: Annotated[
        float, Gt(1), "largest norm of an accepted update, as a multiple of the median norm"
    ] = 3.0
    share: Annotated[float, Gt(0), Le(1), "share of the coordinates whose signs are compared"] = 0.1

    def check(self, n: int) -> None:
        """Raise UnfitRound unless at least 4 updates are there."""
        if n < _FEWEST:
            raise UnfitRound(f"{self.name} needs at least {_FEWEST} updates, there are {n}")

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate. The context gives the seed and the round of the random window."""
        d = updates.shape[1]
        norms = row_norms(updates)
        middle = median_of(norms)
        usual = (norms >= self.lower * middle) & (norms <= self.upper * middle)
        width = math.ceil(self.share * d)
        random = seeding.generator(context.seed, "signguard window", context.round_number)
        start = int(random.integers(d - width + 1))
        accepted = usual & _largest_cluster(sign_shares(updates[:, start : start + width]))
        if not accepted.any():
            return keep_model(updates)
        return Aggregation(clipped_mean(updates, accepted, norms, middle), accepted)


def sign_shares(window: Tensor) -> Tensor:
    """Return ``(n, 3)`` float64: shares of positive, zero and negative values, largest 1 or 0."""
    counts = [(window > 0).sum(dim=1), (window == 0).sum(dim=1), (window < 0).sum(dim=1)]
    shares = torch.stack(counts, dim=1).double().cpu()
    return shares / shares.amax(dim=0).clamp(min=1)


def _largest_cluster(features: Tensor) -> Tensor:
    """Return ``(n,)`` bool: the rows of the largest cluster that mean shift finds."""
    from sklearn.cluster import MeanShift, estimate_bandwidth  # late: it costs a second to import

    # Rows with the same features are one point: sorted, their order does not matter.
    points = features.numpy()
    bandwidth = max(estimate_bandwidth(points, quantile=0.5), _NARROWEST)
    # One start per bin; scikit-learn's own binning warns where every point has a bin of its own.
    seeds = np.unique(np.round(points / bandwidth), axis=0) * bandwidth
    found = MeanShift(bandwidth=bandwidth, seeds=seeds, cluster_all=False)
    labels = found.fit(points[np.lexsort(points.T)]).predict(points)
    distances = np.linalg.norm(points - found.cluster_centers_[labels], axis=1)
    labels[distances > bandwidth] = -1  # predict, unlike fit, leaves no row out
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    return torch.from_numpy((labels == sizes.argmax()) & (labels >= 0))
