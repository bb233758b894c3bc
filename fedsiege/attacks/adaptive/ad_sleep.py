"""Adaptive sleeper: harmless updates first, PoisonedFL afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import Tensor

from fedsiege.attacks.adaptive.disguise import disguise
from fedsiege.attacks.base import Broadcast, registry
from fedsiege.attacks.fake.poisonedfl import Campaign, PoisonedFLNoise
from fedsiege.attacks.vectors import last_step


@registry.register
@dataclass(frozen=True)
class AdSleep(PoisonedFLNoise):
    """Fakes that send harmless updates until they are trusted.

    Up to round ``rounds`` of the federation, with ``G = w_t - w_{t-1}``, they send ``G`` itself at
    its own length ``||G||``, in the disguise of ``disguise.py`` and with noise of each one's own:
    that does no harm, and agrees with all others (zeros in the first round). After that they are
    ``poisonedfl-noise``, which begins then, without any disguise. ``noise`` is relative to ``G``
    before that.

    Source: our own; PoisonedFL is by Xie, Fang and Gong, CVPR 2025.
    """

    name: ClassVar[str] = "ad-sleep"
    summary: ClassVar[str] = "adaptive: harmless for some rounds, then poisonedfl-noise"

    rounds: Annotated[int, Ge(1), "number of rounds without an attack"] = 8

    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, Campaign]:
        """Return ``(k, d)``, every row another, and what to remember."""
        if broadcast.round_number > self.rounds:
            return super().advance(broadcast, participants, state)
        rows = disguise(broadcast, participants, last_step(broadcast), norm=1.0, noise=self.noise)
        return rows, self._look(broadcast, None)
