"""A little is enough (ALIE, also LIE): a shift that hides within the spread of benign updates."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, ClassVar

from pydantic import AfterValidator
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, Setting, registry
from fedsiege.attacks.compromised.sample import (
    deviation,
    hostile_among,
    mean,
    same_row,
    usable_sample,
)
from fedsiege.errors import UnfitRound
from fedsiege.registry import Spelling


def _not_zero(z: float | None) -> float | None:
    """Raise ValueError if z is 0."""
    if z == 0:
        raise ValueError
    return z


@registry.register
@dataclass(frozen=True)
class Alie(CompromisedAttack):
    """The benign mean, shifted by z standard deviations in every coordinate.

    All participants send the same::

        g = mu - z * sigma

    By default z is the largest shift that leaves enough benign participants still further out to
    make, with the f hostile ones, a majority of the n::

        s = floor(n / 2 + 1) - f,    z = Phi^-1((n - f - s) / (n - f))

    n = 50 and f = 10 give z = 0.2533. With m updates in the sample, sigma divides by m - 1, as in
    the code of EPFL's bucketing paper and in ByzFL. The authors' own code divides by m, and takes z
    as a parameter (1.5 by default). At the same z our shift is ``sqrt(m / (m - 1))`` times as long,
    5 % more for m = 10.

    Raises:
        UnfitRound: (in a round) fewer than 2 usable updates; or the formula gives no z above 0,
            because f is too small to shift anything or because the hostile are the majority.

    Source: Baruch, Baruch and Goldberg, A Little Is Enough, NeurIPS 2019, algorithm 3; code
    moranant/attacking_distributed_learning.
    """

    name: ClassVar[str] = "alie"
    summary: ClassVar[str] = "benign mean shifted by z standard deviations (A Little Is Enough)"

    z: Annotated[
        float | None,
        AfterValidator(_not_zero),
        Spelling("a finite number other than 0"),
        "shift in standard deviations, not 0; negative shifts go upwards; None for the largest "
        "that the formula gives",
    ] = None

    @property
    def least(self) -> int:
        """Two: one update has no deviation."""
        return 2

    def check(self, setting: Setting) -> None:
        """Raise UnfitRound if its sample will be too small, or there is no z to compute."""
        super().check(setting)
        if self.z is None:
            largest_shift(setting.benign + setting.hostile, setting.hostile)

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        rows = usable_sample(self, broadcast)
        z = largest_shift(*hostile_among(self, broadcast)) if self.z is None else self.z
        return same_row(mean(rows) - z * deviation(rows), len(participants))


def largest_shift(n: int, f: int) -> float:
    """Return z as computed from n participants of which f are hostile.

    Raises:
        UnfitRound: it would not be a finite number above 0.
    """
    supporters = n // 2 + 1 - f
    if supporters <= 0:
        raise UnfitRound(
            f"alie computes no z where {f} of {n} participants are hostile: they are a majority, "
            "which nothing bounds; set z, as in alie:z=1.5"
        )
    share = (n - f - supporters) / (n - f)
    if share <= 0.5:
        raise UnfitRound(
            f"alie finds no z above 0 where {f} of {n} participants are hostile: too few to shift "
            "anything unseen; set z, as in alie:z=1.5"
        )
    return NormalDist().inv_cdf(share)
