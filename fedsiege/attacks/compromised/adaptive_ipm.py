"""IPM with the factor that does most harm under the rule that is running."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.base import registry
from fedsiege.attacks.compromised.adaptive import AdaptiveAttack
from fedsiege.attacks.compromised.sample import mean


@registry.register
@dataclass(frozen=True)
class AdaptiveIpm(AdaptiveAttack):
    """The update of ``ipm`` with the best eps that trials of the rule find.

    With the mean mu of the benign updates, and eps of 0 or more, all send::

        g = -eps * mu

    The harm of eps is the distance between what the rule makes of the benign updates and f times g,
    and the benign mean mu. The rule is tried without memory, without root samples and without what
    participants report; it is refused where it cannot do without.

    Args:
        knowledge: ``full``.
        evals: how often the rule is tried in a round, 3 or more.

    Raises:
        InvalidValue: a value is out of its range.
        UnfitRound: (in a round) fewer than 2 usable benign updates, no rule is known, it needs what
            the attacker does not have, or it cannot work with the round.

    Source: Allouah et al., Fixing by Mixing, AISTATS 2023, section 6; ByzFL's "optimal" IPM.
    """

    name: ClassVar[str] = "adaptive-ipm"
    summary: ClassVar[str] = "ipm with the factor found best against the rule that is running"

    def directions(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return one: from zeros against the mean."""
        return [(torch.zeros(rows.shape[1], dtype=torch.float64), -mean(rows))]
