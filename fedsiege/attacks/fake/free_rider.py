"""Free riders: participants that take the model and do not train."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.attacks.vectors import last_step


@registry.register
@dataclass(frozen=True)
class FreeRider(Attack):
    """An update without training.

    ``zeros`` sends zeros; ``stale`` sends the last global step ``w_t - w_{t-1}`` once more, which
    looks like training (in the first round: zeros).

    Source: Lin, Du and Liu, Free-riders in Federated Learning: Attacks and Defenses, 2019, arXiv
    1911.12560, section 3; ``stale`` is their delta weights attack.
    """

    name: ClassVar[str] = "free-rider"
    summary: ClassVar[str] = "no training: zeros, or the last global step once more"

    kind: Annotated[Literal["zeros", "stale"], "send zeros, or the last global step once more"] = (
        "zeros"
    )

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        step = last_step(broadcast)
        update = torch.zeros_like(step) if self.kind == "zeros" else step
        return update.float().expand(len(participants), -1)
