"""Updates that pull to one point, wherever the model goes."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from fedsiege.detectors.base import Detector, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.memory import NO_IDENTITIES, REMEMBERED, SHAPES, Memory, no_rows
from fedsiege.rules.state import own

#: Below this, the part of an update across another is a rounding error of float32.
_RESOLUTION = 1e-6


@dataclass(frozen=True)
class FixedPointState(Memory):
    """The detector's state; senders absent for the whole window are forgotten.

    Attributes:
        updates: ``(k, d)`` float32, what each sent last.
        models: ``(m, d)`` float32, the global models of the last rounds, m at most window.
    """

    updates: Tensor
    models: Tensor


@registry.register
@dataclass(frozen=True)
class FixedPoint(Detector):
    r"""Flags participants whose updates always point to one fixed model.

    MPAF sends :math:`g = \lambda (w' - w)`, with one point :math:`w'` for all rounds. Of two rounds
    1 and 2, with the model moved by :math:`D = w_2 - w_1` in between, that is
    :math:`D = a\, g_1 - b\, g_2` with :math:`a = 1 / \lambda_1` and :math:`b = 1 / \lambda_2`, both
    estimated by least squares. So :math:`\lambda` may have any value, and another in every round,
    as where fakes match the length of the last global step. Then

    .. math::
        r = \min_{a, b} \frac{\lVert D - a\, g_1 + b\, g_2 \rVert}{\lVert D \rVert}, \qquad
        s_i = \frac{\rho}{\max(r, 10^{-6})}

    with :math:`\rho` the parameter ``residual``, where a and b are above 0, else :math:`s_i = 0`:
    only then both updates point ahead to one point, :math:`w_1 + a\, g_1`. :math:`g_1` is the last
    update of the participant within ``window`` rounds, :math:`g_2` that of this round.

    Honest updates leave r above 0.5, since :math:`g_2` of a few samples has little to do with where
    the model has gone; those of MPAF, mpaf-matched and mpaf-spread with base models of their own
    below 0.01. It does not see fakes with noise in every round, poisonedfl, and those that never
    change their update.

    The score is 0 in a participant's first round, for zeros, and where the model has not moved. It
    needs the global model. Memory is by identity, for ``window`` rounds; ``4 d`` bytes for each
    identity and for each of these rounds' models.

    Source:
        FedSiege, see :doc:`/detectors`. It solves the equation of Xiaoyu Cao, Neil Zhenqiang Gong.
        `MPAF: Model Poisoning Attacks to Federated Learning based on Fake Clients
        <https://arxiv.org/abs/2203.08669>`_. CVPR workshops 2022.
    """

    name: ClassVar[str] = "fixed-point"
    summary: ClassVar[str] = "flags participants whose updates always point to one fixed model"
    needs: ClassVar[tuple[str, ...]] = ("model",)

    residual: Annotated[float, Gt(0), Lt(1), "largest relative residual that is flagged"] = 0.1
    window: Annotated[int, Ge(1), "largest number of rounds between the two updates compared"] = 10
    remember: Annotated[
        int, Ge(1), "number of participants remembered; those absent longest are forgotten first"
    ] = REMEMBERED

    def judge(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> tuple[Tensor, FixedPointState]:
        """Score the updates, and remember them. It needs the model."""
        model = context.model_for(self.name, updates)
        before = _remembered(state, updates.shape[1]) or _nothing(updates)
        turnout = before.turnout(context.identities(len(updates)), self.remember, self.window)
        moved: dict[int, Tensor] = {}
        scores = torch.zeros(len(updates), dtype=torch.float64)
        for i, j in enumerate(turnout.places.tolist()):
            if j < 0:
                continue
            ago = turnout.rounds - int(before.seen[j])
            if ago not in moved:
                then = before.models[-ago].to(model.device)
                moved[ago] = model.double() - then.double()
            past = before.updates[j].to(updates.device)
            residual = residual_of(moved[ago], past.double(), updates[i].double())
            scores[i] = self.residual / max(residual, _RESOLUTION)
        models = torch.cat([before.models.to(model.device), model[None]])
        after = FixedPointState(
            turnout.identities,
            turnout.seen,
            turnout.rounds,
            updates=turnout.carry(updates.float(), before.updates),
            models=models[-self.window :].clone(),
        )
        return scores, after


def _remembered(state: object | None, d: int) -> FixedPointState | None:
    """Return the memory of the rounds before, None in the first."""
    shapes = {**SHAPES, "updates": ("k", d), "models": ("m", d)}
    return own(FixedPoint.name, state, FixedPointState, ["updates", "models"], **shapes)


def _nothing(updates: Tensor) -> FixedPointState:
    """Return the memory before the first round."""
    none = no_rows(updates)
    return FixedPointState(NO_IDENTITIES, NO_IDENTITIES, 0, none, none)


def residual_of(moved: Tensor, first: Tensor, second: Tensor) -> float:
    """Return what is left of the model's way when both updates are to point to one point ahead.

    Args:
        moved: ``(d,)`` float64, how the model went from where ``first`` was sent to ``second``.
        first: ``(d,)`` float64, the earlier update.
        second: ``(d,)`` float64, the later one.

    Returns:
        ``r`` of the class above, 0 to 1; infinity where there is no such point, or no telling.
    """
    way, one, two = (float(x.norm()) for x in (moved, first, second))
    if min(way, one, two) == 0:
        return torch.inf
    along = first / one  # an orthonormal basis of the plane of both updates
    part = float(second @ along)
    across = second - part * along
    width = float(across.norm())
    if width <= _RESOLUTION * two:
        return torch.inf
    across /= width
    b = -float(moved @ across) / width
    a = (float(moved @ along) + b * part) / one
    if a <= 0 or b <= 0:
        return torch.inf
    return float((moved - a * first + b * second).norm()) / way
