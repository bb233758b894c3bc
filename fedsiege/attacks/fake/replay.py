"""Replay: an old global step, sent again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from fedsiege.attacks.base import Broadcast, StatefulAttack, registry
from fedsiege.attacks.vectors import last_step
from fedsiege.rules.state import own

#: The longest delay: how many steps are remembered at most.
_LONGEST = 100


@registry.register
@dataclass(frozen=True)
class Replay(StatefulAttack):
    r"""Send an old global step once more, scaled.

    Fake clients know the broadcast model only. They aim at slowing training down with steps that
    real training did make, but from a model that is gone. In round :math:`t` every fake sends the
    same update:

    .. math::

        g = \text{scale} \cdot G_{t - \text{delay}}, \qquad G_k = w_k - w_{k-1}

    :math:`w_k` is the model that was broadcast in round :math:`k`. Until a step is old enough, the
    fakes send zeros. Rounds in which none of the fakes was drawn count, too. ``delay + 1`` vectors
    of the model's size are remembered. Delay 0 would be ``free-rider:kind=stale``.

    Source:
        FedSiege's own: see :doc:`/attacks`. It is the replay attack of network protocols, applied
        to updates.
    """

    name: ClassVar[str] = "replay"
    summary: ClassVar[str] = "sends an old global step once more, scaled"

    delay: Annotated[
        int, Ge(1), Le(_LONGEST), "number of rounds before a global step is sent again"
    ] = 5
    scale: Annotated[float, Gt(0), "factor on the old step"] = 1.0

    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return ``(k, d)``, one row in memory, and the steps seen, the oldest first."""
        seen = own(self.name, state, tuple) or ()
        if broadcast.previous is not None:
            seen = (*seen, last_step(broadcast).float())[-self.delay - 1 :]
        update = torch.zeros_like(broadcast.model)
        if len(seen) > self.delay:
            update = (self.scale * seen[0].double()).float()
        return update.expand(len(participants), -1), seen
