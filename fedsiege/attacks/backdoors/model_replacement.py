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
    """The backdoor of ``badnets``, scaled up to replace the global model.

    With X_b the weights after training on the poisoned samples, n participants and the server
    learning rate eta, a single attacker sends the model ``X = (n / eta)(X_b - w_t) + w_t``, which
    is the update::

        g = gamma * (X_b - w_t),    gamma = boost * n / eta

    The mean with the updates of the others, which near convergence cancel, is X_b. Of k attackers
    in a round each sends 1/k of it, so that the global model becomes the mean of their X_b. A boost
    below 1 replaces a part of the model, and is noticed less.

    Raises:
        UnfitRound: (in a round) n is neither given nor known.

    Source: Bagdasaryan et al., How to backdoor federated learning, AISTATS 2020, equation 3.
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
