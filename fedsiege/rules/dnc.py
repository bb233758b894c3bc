"""DnC: divide and conquer, by the direction in which updates differ most."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege import seeding
from fedsiege.errors import UnfitRound
from fedsiege.numerics.matrix import column_blocks
from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import (
    Aggregation,
    TolerantRule,
    keep_model,
    registry,
)
from fedsiege.rules.context import RoundContext

#: Coordinates at a time, in float64.
_WIDTH = 1024


@registry.register
@dataclass(frozen=True)
class DnC(TolerantRule):
    r"""The mean without the updates that project farthest on the top singular vector.

    Each of ``iterations`` iterations draws ``subsample`` coordinates B, all if there are fewer, and
    scores the rows by their squared projection

    .. math::
        s_i = \big\langle g_i^B - \bar g^B, v \big\rangle^2, \qquad
        \bar g^B = \frac{1}{n} \sum_{i=1}^n g_i^B

    where :math:`g_i^B` is row i in these coordinates and v the first right singular vector of the
    matrix with the rows :math:`g_i^B - \bar g^B`. The :math:`\lceil c f \rceil` rows with the
    highest scores are left out, c being the parameter ``filter``. The rows that no iteration has
    left out are averaged.

    Where no row is left, the model is kept: an update of zeros, no row accepted. With f = 0 it is
    the mean. It needs :math:`n > 2f` and :math:`n > \lceil c f \rceil`. Cost of an iteration:
    :math:`O(n^2 |B| + n^3)`.

    The defaults are those of public implementations, not checked against the paper. One of them
    takes the union of the iterations' rows instead of the intersection, so that a row once left out
    could come back.

    Source:
        Virat Shejwalkar, Amir Houmansadr. `Manipulating the Byzantine: Optimizing Model Poisoning
        Attacks and Defenses for Federated Learning
        <https://doi.org/10.14722/ndss.2021.24498>`_.
        NDSS 2021, algorithm 2.
    """

    name: ClassVar[str] = "dnc"
    summary: ClassVar[str] = (
        "mean without the updates that project farthest on the top singular vector"
    )
    mean_without_hostile: ClassVar[bool] = True

    iterations: Annotated[int, Ge(1), "number of independent draws of coordinates"] = 1
    subsample: Annotated[
        int, Ge(1), "coordinates drawn in each iteration; all if the model has fewer"
    ] = 10000
    filter: Annotated[float, Gt(0), "rows left out per assumed hostile participant"] = 1.0

    def check(self, n: int) -> None:
        """Raise UnfitRound unless more than 2 f updates are there, and some would be left."""
        f = self.tolerated(n)
        if n <= 2 * f or n <= math.ceil(self.filter * f):
            raise UnfitRound(
                f"{self.name} with f={f} and filter={self.filter:g} needs more than "
                f"{max(2 * f, math.ceil(self.filter * f))} updates, there are {n}"
            )

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; the score is the highest of all iterations. The seed draws the coordinates."""
        n, d = updates.shape
        kept = n - math.ceil(self.filter * self.tolerated(n))
        accepted = torch.ones(n, dtype=torch.bool)
        highest = torch.zeros(n, dtype=torch.float64)
        for iteration in range(self.iterations):
            columns = None
            if d > self.subsample:
                random = seeding.generator(
                    context.seed, "dnc coordinates", context.round_number, iteration
                )
                drawn = random.choice(d, self.subsample, replace=False)
                columns = torch.from_numpy(np.sort(drawn))
            scores = projections(updates, columns)
            accepted[scores.argsort(stable=True)[kept:]] = False
            highest = torch.maximum(highest, scores)
        if not accepted.any():
            return keep_model(updates, highest)
        return Aggregation(weighted_mean(updates, accepted.double()), accepted, highest)


def projections(updates: Tensor, columns: Tensor | None = None) -> Tensor:
    """Return ``(n,)`` float64 on the CPU: squared projections on the first right singular vector.

    Of the centred matrix ``X = U S V^T`` that is ``(S_1 U_i1)^2``, and U and S^2 are found in the
    Gram matrix ``X X^T``: n by n instead of n by d.

    Args:
        updates: ``(n, d)``.
        columns: ``(b,)`` int64, the coordinates to use; None for all.
    """
    n = len(updates)
    gram = torch.zeros(n, n, dtype=torch.float64, device=updates.device)
    columns = None if columns is None else columns.to(updates.device)
    for part in column_blocks(updates.shape[1] if columns is None else len(columns), _WIDTH):
        block = updates[:, part if columns is None else columns[part]]
        block = block.to(torch.float64, copy=True)  # of float64 it is a view of the updates
        block -= block.mean(dim=0)
        gram += block @ block.T
    values, vectors = torch.linalg.eigh(gram.cpu())
    squares: Tensor = values[-1].clamp(min=0) * vectors[:, -1].square()
    return squares
