"""Fang's attack on the trimmed mean (and the median): values just beyond the benign ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, Knowledge, registry
from fedsiege.attacks.compromised.sample import deviation, mean, usable_sample
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class FangTrimmedMean(CompromisedAttack):
    """Each coordinate is drawn just beyond the benign value farthest against the benign direction.

    The benign direction is ``s = sign(sum of the sample)``. With full knowledge each coordinate is
    drawn, evenly and for each participant anew, where s = 1 (s = -1 is the mirror image)::

        between min / b and min   if min > 0
        between b * min and min   if min <= 0

    With partial knowledge it is drawn between ``mu - 4 sigma`` and ``mu - 3 sigma`` of the
    attackers' own sample, sigma dividing by m. Where s = 0 the values are 0, and mu.

    Raises:
        UnfitRound: (in a round) no usable update; with partial knowledge fewer than 2.

    Source: Fang, Cao, Jia and Gong, Local Model Poisoning, USENIX Security 2020, section 4.3, with
    b =
    2. There it is on models; here, as in the authors' code, on updates.
    """

    name: ClassVar[str] = "fang-trimmed-mean"
    summary: ClassVar[str] = (
        "values just beyond the benign extremes, against the benign direction (Fang)"
    )

    b: Annotated[
        float,
        Gt(1),
        "factor between the benign extreme and the farthest value drawn; used with full knowledge",
    ] = 2.0

    @property
    def least(self) -> int:
        """Two where it goes by a deviation, which one update has not."""
        return 2 if self.knows is Knowledge.PARTIAL else 1

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row drawn afresh."""
        near, far = self._interval(broadcast)
        updates = torch.empty(len(participants), near.numel())
        for row, participant in zip(updates, participants, strict=True):
            draw = generator(broadcast.seed, "fang trimmed", broadcast.round_number, participant)
            row.copy_(torch.lerp(near, far, torch.from_numpy(draw.random(near.numel()))))
        return updates

    def _interval(self, broadcast: Broadcast) -> tuple[Tensor, Tensor]:
        """Return the ends between which each coordinate is drawn, ``(d,)`` float64 each."""
        if self.knows is Knowledge.PARTIAL:
            rows = usable_sample(self, broadcast)
            center = mean(rows)
            sigma = center.sign() * deviation(rows, population=True)
            return center - 3 * sigma, center - 4 * sigma
        rows = usable_sample(self, broadcast)
        trend = rows.sum(dim=0, dtype=torch.float64).sign()
        extreme = torch.where(trend > 0, rows.amin(dim=0), rows.amax(dim=0)).double()
        extreme = torch.where(trend == 0, 0.0, extreme)
        return extreme, torch.where(extreme * trend > 0, extreme / self.b, extreme * self.b)
