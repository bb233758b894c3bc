"""Centered clipping."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege.numerics.distances import distances_to
from fedsiege.numerics.matrix import weighted_sum
from fedsiege.rules.base import Aggregation, StatefulRule, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.state import own


@dataclass(frozen=True)
class Center:
    """What centered clipping remembers: the aggregate of the round before.

    Attributes:
        point: ``(d,)`` float32.
    """

    point: Tensor


@registry.register
@dataclass(frozen=True)
class CenteredClipping(StatefulRule):
    r"""The last aggregate, moved by the mean of the updates clipped to a distance from it.

    .. math::
        v \leftarrow v + \frac{1}{n} \sum_{i=1}^n (g_i - v)
        \min\left( 1, \frac{\tau}{\lVert g_i - v \rVert} \right)

    where v begins at the aggregate of the round before, 0 in the first round, and is the result
    after ``steps`` such moves. The clipping distance :math:`\tau` is the parameter ``tau``; without
    it, the median of the distances :math:`\lVert g_i - v \rVert`, anew in each step.

    What the rounds before agreed on counts as the honest direction, and no participant moves v by
    more than :math:`\tau / n` in a step. There is no condition on n. Cost: :math:`O(n d)` for each
    step. The state is v, d numbers.

    The paper clips the momentums that participants keep over the rounds; here it is the updates
    that they send, whatever they hold.

    Source:
        Sai Praneeth Karimireddy, Lie He, Martin Jaggi. `Learning from History for Byzantine Robust
        Optimization <https://arxiv.org/abs/2012.10333>`_. ICML 2021, section 4.
    """

    name: ClassVar[str] = "centered-clipping"
    summary: ClassVar[str] = "last aggregate, moved by the updates clipped to a distance from it"
    by_participant: ClassVar[bool] = False

    tau: Annotated[
        float | None,
        Gt(0),
        "largest distance to the centre that counts in full; None for the median distance, anew"
        " in each step",
    ] = None
    steps: Annotated[int, Ge(1), "how often the centre moves in a round"] = 1

    def advance(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate; every row counts, the scores are the distances to the last v.

        Raises:
            InvalidValue: the state is not this rule's, or one of models of another size.
        """
        n, d = updates.shape
        before = own(self.name, state, Center, ["point"], point=(d,))
        center = None if before is None else before.point.to(updates.device)
        for _ in range(self.steps):
            distances = distances_to(updates, center)
            tau = self.tau or float(distances.quantile(0.5))
            factors = torch.where(distances > tau, tau / distances, 1.0) / n
            moved = weighted_sum(updates, factors)
            if center is not None:
                moved += center * float(1 - factors.sum())
            center = moved
        assert center is not None  # there is at least one step
        everyone = torch.ones(n, dtype=torch.bool)
        return Aggregation(center.clone(), everyone, distances, Center(center))
