"""Auror: clusters each coordinate and leaves out the updates in most of the smaller clusters."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from fedsiege.numerics.clusters import two_means
from fedsiege.numerics.matrix import column_blocks, sorted_columns
from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext

#: Numbers that are split at a time: some float64 copies of them stay in the cache.
_BLOCK = 2**15


@registry.register
@dataclass(frozen=True)
class Auror(Rule):
    r"""The mean without the updates that are suspicious in most of the indicative coordinates.

    In each coordinate, exact 2-means splits the n values into a lower cluster L and an upper
    cluster U. The coordinate is *indicative* if the means of the two lie far apart:

    .. math::
        \mu_U - \mu_L \;\ge\;
        s \sqrt{\frac{1}{n} \sum_{C \in \{L, U\}} \sum_{x \in C} (x - \mu_C)^2}

    with s the parameter ``separation``; or, where ``alpha`` is given, if it is at least that. For
    the two halves of one normal distribution the quotient of both sides is 2.65 for s = 1. In an
    indicative coordinate the updates in the smaller cluster are *suspicious*; of clusters of equal
    size neither is. With :math:`c_i` the number of indicative coordinates in which update i is
    suspicious, m the number of all that are indicative, and q the parameter ``majority``, the
    result is

    .. math::
        \frac{1}{|A|} \sum_{i \in A} g_i, \qquad A = \{\, i : c_i \le q\, m \,\}

    Where no coordinate is indicative, and of fewer than 3 updates, the rule is the mean.

    In each coordinate fewer than half of the updates are suspicious, but not the same ones in each:
    fewer than :math:`(n - 1) / (2 q)` can be left out, which may be all but two. Cost:
    :math:`O(d\, n \log n)`.

    In the paper "far apart" is a distance alpha found on each data set (1e-4 to 2e-3 in public
    code), and indicative coordinates are looked for in the first 10 rounds only. Here they are
    those of the round, and the test is relative unless alpha is given.

    Source:
        Shiqi Shen, Shruti Tople, Prateek Saxena. `Auror: Defending against Poisoning Attacks in
        Collaborative Deep Learning Systems <https://doi.org/10.1145/2991079.2991125>`_. ACSAC 2016,
        section 4, from memory; public code differs in the second step.
    """

    name: ClassVar[str] = "auror"
    summary: ClassVar[str] = (
        "mean without the updates that lie in the smaller cluster of most coordinates"
    )
    accuses: ClassVar[bool] = True

    alpha: Annotated[
        float | None,
        Gt(0),
        "least distance between the two means of an indicative coordinate; None for the "
        "relative test",
    ] = None
    separation: Annotated[
        float,
        Gt(0),
        "relative test: least distance of the means, in standard deviations within the clusters",
    ] = 6.0
    majority: Annotated[
        float,
        Ge(0.5),
        Lt(1),
        "share of the indicative coordinates that a participant may be suspicious in",
    ] = 0.5

    def remark(self, n: int) -> str:
        """Return a remark where there are too few updates for a smaller cluster."""
        return f"{self.name} suspects no update among fewer than 3, {n}" if n < 3 else ""

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; the score is the share of indicative features in which a row is suspicious."""
        n = len(updates)
        suspicions = torch.zeros(n, dtype=torch.int64, device=updates.device)
        telling = 0
        for columns, ordered in sorted_columns(updates) if n > 2 else ():
            for part in column_blocks(len(ordered), max(1, _BLOCK // n)):
                found = two_means(ordered[part])
                least = (
                    self.separation * (found.within / n).sqrt()
                    if self.alpha is None
                    else self.alpha
                )
                indicative = ((found.gap >= least) & (found.gap > 0)).nonzero().flatten()
                telling += len(indicative)
                values = updates[:, columns][:, part][:, indicative].float()
                upper = values > found.boundary[indicative]
                smaller = 2 * found.lower[indicative]
                suspicions += (upper & (smaller > n)).sum(dim=1)
                suspicions += (~upper & (smaller < n)).sum(dim=1)
        scores = suspicions.double().cpu() / max(telling, 1)
        accepted = scores <= self.majority
        return Aggregation(weighted_mean(updates, accepted.double()), accepted, scores)
