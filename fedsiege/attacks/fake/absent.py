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
    r"""Make no attack: the hostile participants never enrol.

    What remains is what a perfect defence would leave: the benign participants, with the same
    samples that they have beside any other attack at the same seed. With :math:`B_t` the benign
    participants of the round, the rule gets

    .. math::

        \{ g_i : i \in B_t \}

    and nothing else. It is a baseline to compare with: it knows nothing and aims at nothing.

    Source:
        A control of FedSiege: see :doc:`/attacks`.
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
