"""Model replacement: an update so long that the mean becomes the attacker's model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege.attacks.backdoors.badnets import BadNets
from fedsiege.attacks.base import Broadcast, registry
from fedsiege.errors import UnfitRound


@registry.register
@dataclass(frozen=True)
class ModelReplacement(BadNets):
    r"""Send the backdoor of ``badnets``, scaled up until the mean becomes the attacker's model.

    The attackers hold data and know how many participants a round has; of other updates they know
    nothing (partial knowledge). They aim at a global model that is theirs, with the backdoor. A
    single attacker sends the model :math:`X = (n / \eta)(X_b - w_t) + w_t`; each of :math:`k`
    attackers in a round sends :math:`1 / k` of it, which is the update:

    .. math::

        g = \gamma (X_b - w_t), \qquad \gamma = \frac{\text{boost} \cdot n}{\eta \, k}

    :math:`w_t` is the broadcast model, :math:`X_b` the weights after training on the poisoned
    samples, :math:`n` the number of participants and :math:`\eta` the learning rate of the server.
    The mean with the updates of the others, which near convergence cancel, is :math:`X_b`, or the
    mean of the :math:`X_b` of several attackers. A boost below 1 replaces a part of the model, and
    is noticed less.

    Raises:
        UnfitRound: (in a round) n is neither given nor known.

    Source:
        Eugene Bagdasaryan, Andreas Veit, Yiqing Hua, Deborah Estrin and Vitaly Shmatikov, `How To
        Backdoor Federated Learning <https://arxiv.org/abs/1807.00459>`_, AISTATS 2020, equation 3.
    """

    name: ClassVar[str] = "model-replacement"
    summary: ClassVar[str] = "badnets, scaled up so that the mean becomes the attacker's model"

    participants: Annotated[
        int | None,
        Ge(1),
        "number of participants the update is scaled for; None for those scheduled in the round",
    ] = None
    eta: Annotated[float, Gt(0), "learning rate of the server"] = 1.0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return their shares of the replacement."""
        n = self.participants or broadcast.participants
        if not n:
            raise UnfitRound(f"{self.name} does not know how many participants the round has")
        gamma = n / (self.eta * max(1, len(broadcast.hostile)))
        return super().craft(broadcast, participants) * gamma
