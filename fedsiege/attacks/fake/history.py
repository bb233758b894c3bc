"""History attack: undo the last step of the global model, many times over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.attacks.vectors import last_step


@registry.register
@dataclass(frozen=True)
class History(Attack):
    """The last global step, reversed and scaled.

    Every fake sends the same update::

        g = -scale * (w_t - w_{t-1})

    In the first round there is no step to reverse: the fakes send zeros.

    Source: Cao and Gong, MPAF, CVPR workshops 2022, section 5.1, "history attack"; scale is lambda.
    """

    name: ClassVar[str] = "history"
    summary: ClassVar[str] = "reverses the last global step, scaled"

    scale: Annotated[float, Gt(0), "factor on the reversed step"] = 1.0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        update = -self.scale * last_step(broadcast)
        return update.float().expand(len(participants), -1)
