"""Updates that repeat their sender's past too exactly, or reverse it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from fedsiege.detectors.base import Detector, registry
from fedsiege.numerics.deviation import distinct, robust_z
from fedsiege.rules.context import RoundContext
from fedsiege.rules.memory import NO_IDENTITIES, REMEMBERED, SHAPES, Memory, no_rows
from fedsiege.rules.state import own

#: Weight of the newest update in the average.
_NEWEST = 0.2
#: The smallest angle that float32 updates resolve, in radians.
_RESOLUTION = 1e-6


@dataclass(frozen=True)
class HistoryState(Memory):
    """The detector's state.

    Attributes:
        averages: ``(k, d)`` float32, the moving average of the directions of each.
    """

    averages: Tensor


@registry.register
@dataclass(frozen=True)
class History(Detector):
    r"""Flags updates that repeat or reverse what their sender sent before.

    With :math:`u_i = g_i / \lVert g_i \rVert`, a moving average of the past directions of each
    participant, :math:`E_i \leftarrow 0.8\, E_i + 0.2\, u_i` (the first :math:`u_i` itself), and
    :math:`a_i` the angle between :math:`u_i` and the :math:`E_i` of the rounds before, the score is

    .. math::
        s_i = \max\left( -\frac{z_i}{z},\; -\frac{\cos a_i}{\rho} \right), \qquad
        z_i = \frac{\log a_i - m}{\max(1.4826\, \mathrm{MAD}, \text{floor})}

    where z and floor are parameters, :math:`\rho` is the parameter ``reverse``, m is the median of
    the :math:`\log a_i` of the round and MAD the median of the distances to it, identical updates
    counting once. The first term is *too consistent*. The second is *reversed*; it counts while the
    median of the cosines is 0 or more.

    Fakes that pull to one point hardly change their direction, while samples in a new order and a
    moving model change that of honest participants. Where honest participants train on 4 samples in
    one batch, they hardly change theirs either, and only reversal is a sign.

    In its first round, and for zeros, a participant has the score 0. Memory is by identity, absent
    participants keep theirs; ``4 d`` bytes for each.

    Source:
        FedSiege, see :doc:`/detectors`. After the over-consistency noted for `FLDetector: Defending
        Federated Learning Against Model Poisoning Attacks via Detecting Malicious Clients
        <https://arxiv.org/abs/2207.09209>`_, Zaixi Zhang, Xiaoyu Cao, Jinyuan Jia, Neil Zhenqiang
        Gong, KDD 2022, which looks for the opposite.
    """

    name: ClassVar[str] = "history"
    summary: ClassVar[str] = "flags updates that repeat or reverse what their sender sent before"

    z: Annotated[float, Gt(0), "modified z-score that is flagged"] = 5.5
    floor: Annotated[
        float, Gt(0), "least spread of the log angles that a deviation is measured by"
    ] = 0.25
    reverse: Annotated[float, Gt(0), Le(1), "minus the cosine to the own past that is flagged"] = (
        0.5
    )
    remember: Annotated[
        int, Ge(1), "number of participants remembered; those absent longest are forgotten first"
    ] = REMEMBERED

    def judge(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> tuple[Tensor, HistoryState]:
        """Score the updates, and remember the directions."""
        shapes = {**SHAPES, "averages": ("k", updates.shape[1])}
        before = own(self.name, state, HistoryState, ["averages"], **shapes) or _nothing(updates)
        turnout = before.turnout(context.identities(len(updates)), self.remember)
        averages = turnout.carry(updates.float(), before.averages)  # to be overwritten
        angles = torch.full((len(updates),), torch.nan, dtype=torch.float64)
        for i, j in enumerate(turnout.places.tolist()):
            direction = _unit(updates[i])
            if j < 0:
                averages[i] = direction.float()
                continue
            past = before.averages[j].to(updates.device, torch.float64)
            averages[i] = ((1 - _NEWEST) * past + _NEWEST * direction).float()
            if direction.any() and past.any():
                # By the chord, since an arc cosine loses half the digits of a small angle.
                half_chord = (direction - _unit(past)).norm() / 2
                angles[i] = 2 * float(half_chord.clamp(max=1).asin())
        after = HistoryState(turnout.identities, turnout.seen, turnout.rounds, averages)
        return self._scores(angles, distinct(updates)), after

    def _scores(self, angles: Tensor, counted: Tensor) -> Tensor:
        """Return ``(n,)`` from the angles in radians, NaN where there is none."""
        scores = -robust_z(angles.clamp(min=_RESOLUTION).log(), self.floor, counted) / self.z
        opposite = -angles.cos()
        known = angles.isfinite()
        if known.any() and opposite[known].quantile(0.5) <= 0:
            scores[known] = torch.maximum(scores, opposite / self.reverse)[known]
        return scores


def _nothing(updates: Tensor) -> HistoryState:
    """Return the memory before the first round."""
    return HistoryState(NO_IDENTITIES, NO_IDENTITIES, 0, no_rows(updates))


def _unit(row: Tensor) -> Tensor:
    """Return a row at length 1 in float64; zeros stay zeros."""
    row = row.double()
    norm = row.norm()
    return row / norm if norm > 0 else row
