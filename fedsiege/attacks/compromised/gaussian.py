"""Gaussian attack: noise in place of an update, or on top of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, registry
from fedsiege.attacks.compromised.sample import deviation, mean, usable_sample
from fedsiege.errors import InvalidValue
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class Gaussian(CompromisedAttack):
    """Gaussian noise, drawn afresh by every participant in every round.

    With ``eps_i ~ N(0, I)``, ``own_i`` what participant i would have sent, and mu and s mean and
    (sample) standard deviation of each coordinate of the sample::

        replace  g_i = sigma * eps_i
        add      g_i = own_i + sigma * eps_i
        fitted   g_i = mu + sigma * s * eps_i

    ``knowledge`` decides where mu and s come from; the other forms use partial knowledge only.

    Raises:
        UnfitRound: (in a round) ``fitted`` finds fewer than 2 usable updates.

    Source: ``replace`` with sigma = 200: Blanchard et al., Krum, NeurIPS 2017, section 5.
    ``fitted`` with sigma = 1: Fang, Cao, Jia and Gong, USENIX Security 2020, section 5.1, "Gaussian
    attack". ``add`` is the noise of a careless or privacy-minded participant, for comparison.
    """

    name: ClassVar[str] = "gaussian"
    summary: ClassVar[str] = (
        "Gaussian noise instead of the update, added to it, or fitted to benign updates"
    )

    form: Annotated[
        Literal["replace", "add", "fitted"],
        "replace the update by noise, add noise to it, or fit noise to mean and deviation of "
        "the sample",
    ] = "replace"
    sigma: Annotated[
        float | None,
        Gt(0),
        "standard deviation of the noise; None for 200, or 1 with form=fitted, as published",
    ] = None

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if self.form != "fitted" and self.knowledge != "partial":
            allowed = f"partial with form={self.form}, which uses no more"
            raise InvalidValue(f"{self.name}:knowledge", self.knowledge, allowed)

    @property
    def least(self) -> int:
        """Two where it is fitted: one update has no deviation."""
        return 2 if self.form == "fitted" else 1

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row drawn afresh."""
        d = broadcast.model.numel()
        centers = torch.zeros(len(participants), 1)
        spread: float | Tensor = 200.0 if self.sigma is None else self.sigma
        if self.form == "add":
            centers = broadcast.own_of(participants)
        elif self.form == "fitted":
            rows = usable_sample(self, broadcast)
            centers = mean(rows).expand(len(participants), -1)
            spread = deviation(rows) * (self.sigma or 1.0)
        updates = torch.empty(len(participants), d)
        for row, center, participant in zip(updates, centers, participants, strict=True):
            draw = generator(broadcast.seed, "gaussian attack", broadcast.round_number, participant)
            row.copy_(center + spread * torch.from_numpy(draw.standard_normal(d)))
        return updates
