"""No attack at all: the hostile participants stay away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.base import Attack, Broadcast, registry


@registry.register
@dataclass(frozen=True)
class Absent(Attack):
    """Hostile participants that never enrol.

    What remains is what a perfect defence would leave: the benign participants, with the same
    samples that they have beside any other attack at the same seed. It is a baseline to compare
    with.
    """

    name: ClassVar[str] = "absent"
    summary: ClassVar[str] = "no attack: hostile participants never enrol, as if perfectly removed"

    @property
    def aliases(self) -> int:
        """No identity."""
        return 0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)`` zeros."""
        return torch.zeros(1, broadcast.model.numel()).expand(len(participants), -1)
