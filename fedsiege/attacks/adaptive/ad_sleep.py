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
    r"""Send harmless updates until the fakes are trusted, then PoisonedFL with noise.

    Fake clients know the broadcast model only, and aim at rules that remember how participants
    behaved:

    .. math::

        g_i = \begin{cases}
            \operatorname{disguise}(G_t) & t \le \text{rounds} \\
            \text{that of } \texttt{poisonedfl-noise} & t > \text{rounds}
        \end{cases}
        \qquad G_t = w_t - w_{t-1}

    :math:`w_t` is the broadcast model and :math:`t` the round of the federation. Up to round
    ``rounds`` the fakes send the last global step :math:`G_t` itself at its own length, in the
    disguise that ``ad-drift`` explains and with noise of each one's own: that does no harm, and
    agrees with all others (zeros in the first round). After that they are ``poisonedfl-noise``,
    which begins then, without any disguise. Before that, ``noise`` is relative to :math:`G_t`.

    Source:
        FedSiege's own: see :doc:`/sentinel`. PoisonedFL is by Yueqi Xie, Minghong Fang and Neil
        Zhenqiang Gong, `Model Poisoning Attacks to Federated Learning via Multi-Round Consistency
        <https://arxiv.org/abs/2404.15611>`_, CVPR 2025, section 4.
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
