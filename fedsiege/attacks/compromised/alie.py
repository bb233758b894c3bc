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
    r"""Shift the benign mean by z standard deviations in every coordinate.

    The attackers hold data. With partial knowledge they go by what they would have sent themselves,
    with full knowledge by the benign updates. They aim at the largest shift that hides within the
    spread of benign updates. All of them send the same:

    .. math::

        g = \mu - z \sigma

    :math:`\mu` and :math:`\sigma` are mean and standard deviation of each coordinate of the sample.
    By default :math:`z` is the largest shift that leaves enough benign participants still further
    out to make, with the :math:`f` hostile ones, a majority of the :math:`n` participants:

    .. math::

        s = \lfloor n / 2 + 1 \rfloor - f, \qquad
        z = \Phi^{-1}\!\left( \frac{n - f - s}{n - f} \right)

    :math:`\Phi^{-1}` is the quantile function of the standard normal distribution. :math:`n = 50`
    and :math:`f = 10` give :math:`z = 0.2533`.

    With :math:`m` updates in the sample, :math:`\sigma` divides by :math:`m - 1`, as in the code of
    EPFL's bucketing paper and in ByzFL. The authors' own code divides by :math:`m`, and takes
    :math:`z` as a parameter (1.5 by default). At the same :math:`z` our shift is
    :math:`\sqrt{m / (m - 1)}` times as long, 5 % more for :math:`m = 10`.

    Raises:
        UnfitRound: (in a round) fewer than 2 usable updates; or the formula gives no z above 0,
            because f is too small to shift anything or because the hostile are the majority.

    Source:
        Gilad Baruch, Moran Baruch and Yoav Goldberg, `A Little Is Enough: Circumventing Defenses
        For Distributed Learning <https://arxiv.org/abs/1902.06156>`_ (ALIE, also LIE), NeurIPS
        2019, algorithm 3, and the authors' `code
        <https://github.com/moranant/attacking_distributed_learning>`__.
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
