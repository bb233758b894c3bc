"""ALIE with the shift that does most harm under the rule that is running."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.attacks.base import registry
from fedsiege.attacks.compromised.adaptive import AdaptiveAttack
from fedsiege.attacks.compromised.sample import deviation, mean


@registry.register
@dataclass(frozen=True)
class AdaptiveAlie(AdaptiveAttack):
    """The update of ``alie`` with the best z that trials of the rule find.

    With mean mu and standard deviation sigma of the benign updates, and z of either sign, all
    send::

        g = mu - z * sigma

    The harm of z is the distance between what the rule makes of the benign updates and f times g,
    and the benign mean mu. The rule is tried without memory, without root samples and without what
    participants report; it is refused where it cannot do without.

    Args:
        knowledge: ``full``.
        evals: how often the rule is tried in a round for each sign, 3 or more.

    Raises:
        InvalidValue: a value is out of its range.
        UnfitRound: (in a round) fewer than 2 usable benign updates, no rule is known, it needs what
            the attacker does not have, or it cannot work with the round.

    Source: Allouah et al., Fixing by Mixing, AISTATS 2023, section 6; ByzFL's "optimal" ALIE, which
    only shifts upwards.
    """

    name: ClassVar[str] = "adaptive-alie"
    summary: ClassVar[str] = "alie with the shift found best against the rule that is running"

    def directions(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return two: from the mean downwards and upwards."""
        center, sigma = mean(rows), deviation(rows)
        return [(center, -sigma), (center, sigma)]
