"""FoolsGold: participants whose updates always point the same way are taken for sybils."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege.numerics.cosines import cosines
from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import (
    Aggregation,
    StatefulRule,
    keep_model,
    registry,
)
from fedsiege.rules.context import RoundContext
from fedsiege.rules.memory import NO_IDENTITIES, REMEMBERED, SHAPES, Memory, no_rows
from fedsiege.rules.state import own

_MOST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class FoolsGoldState(Memory):
    """What FoolsGold remembers.

    Attributes:
        history: ``(k, d)`` float32, the sum of all updates of each, as far as float32
            reaches.
    """

    history: Tensor


@registry.register
@dataclass(frozen=True)
class FoolsGold(StatefulRule):
    r"""A weighted mean in which participants with similar histories share little weight.

    .. math::
        \frac{\sum_i \alpha_i\, g_i}{\sum_i \alpha_i}, \qquad
        \alpha_i = \mathrm{clip}_{[0, 1]} \left( \log \frac{a_i}{1 - a_i} + \frac{1}{2} \right)

    .. math::
        a_i = \frac{b_i}{\max_j b_j}, \qquad
        b_i = \mathrm{clip}_{[0, 1]} \Big( 1 - \max_{j \ne i} c_{ij} \Big)

    where :math:`c_{ij}` is the cosine of the *summed* updates of i and j over all rounds, pardoned:
    with :math:`v_i = \max(0, \max_{j \ne i} c_{ij})` of the cosines, :math:`c_{ij}` is multiplied
    by :math:`v_i / v_j` where :math:`v_j > v_i`.

    Identical fakes get 0. A single fake, or fakes at right angles to each other, get full weight,
    with any norm: it defends against sybils only. Where all participants are alike all weights are
    0 and the model is kept: an update of zeros, no row accepted. A lone participant has weight 1.

    Cost: :math:`O(n^2 d)`. History is kept by participant identity, absent participants keep
    theirs; ``4 d`` bytes for each. Only the participants of a round are compared: of sybils that
    take turns, one a round, none is like another.

    The pardoning and the logit are confirmed against the authors' code. That code divides by n in
    one variant and by nothing in another; this rule divides by the sum of the weights, so that the
    step has the size of an update. The paper's optional weighting of features is left out.

    Source:
        Clement Fung, Chris J. M. Yoon, Ivan Beschastnikh. `The Limitations of Federated Learning in
        Sybil Settings <https://www.usenix.org/conference/raid2020/presentation/fung>`_. RAID 2020,
        algorithm 1.
    """

    name: ClassVar[str] = "foolsgold"
    summary: ClassVar[str] = "weighted mean; participants with similar update histories count less"
    accuses: ClassVar[bool] = True
    trusting: ClassVar[bool] = True

    remember: Annotated[
        int, Ge(1), "number of participants remembered; those absent longest are forgotten first"
    ] = REMEMBERED

    def advance(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate; the scores are the weights ``a_i``.

        Raises:
            InvalidValue: the state is not this rule's, or one of models of another size.
        """
        n, d = updates.shape
        shapes = {**SHAPES, "history": ("k", d)}
        before = own(self.name, state, FoolsGoldState, ["history"], **shapes) or _nothing(updates)
        turnout = before.turnout(context.identities(n), self.remember)
        history = turnout.carry(updates.float(), before.history)
        history[:n][turnout.known] += turnout.recall(before.history).to(history.device)
        # An infinity would leave no row a cosine: a sum of the largest updates stops growing.
        history[:n].clamp_(-_MOST, _MOST)
        after = FoolsGoldState(turnout.identities, turnout.seen, turnout.rounds, history)
        weights = foolsgold_weights(cosines(after.history[:n]))
        if not weights.any():
            return keep_model(updates, weights, after)
        mean = weighted_mean(updates, weights)
        return Aggregation(mean, weights > 0, weights, after)


def _nothing(updates: Tensor) -> FoolsGoldState:
    """Return the memory before the first round."""
    return FoolsGoldState(NO_IDENTITIES, NO_IDENTITIES, 0, no_rows(updates))


def foolsgold_weights(similarity: Tensor) -> Tensor:
    """Return ``(n,)`` float64 in [0, 1] from ``(n, n)`` cosines, whose diagonal is not read."""
    n = len(similarity)
    if n == 1:
        return torch.ones(1, dtype=torch.float64)
    others = similarity.clone().fill_diagonal_(-torch.inf)
    # 0 or more, as in the authors' code, where the diagonal is 0: so v_j > v_i >= 0.
    most = others.max(dim=1).values.clamp(min=0)
    ratio = most[:, None] / torch.where(most > 0, most, 1.0)
    others = torch.where(most > most[:, None], others * ratio, others).fill_diagonal_(-torch.inf)
    weights = (1 - others.max(dim=1).values).clamp(0, 1)
    if not weights.any():
        return weights
    weights = (weights / weights.max()).clamp(max=0.99)
    return (torch.log(weights / (1 - weights)) + 0.5).clamp(0, 1)
