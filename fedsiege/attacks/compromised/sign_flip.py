"""Sign flip: of the own update, of the benign mean, or of every local gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, PoisoningAttack, registry
from fedsiege.attacks.compromised.sample import mean, same_row, usable_sample
from fedsiege.errors import InvalidValue
from fedsiege.registry import Spelling


@registry.register
@dataclass(frozen=True)
class SignFlip(CompromisedAttack):
    """The opposite of an update: of the own one, or of the mean.

    With ``own_i`` what participant i would have sent and mu the mean of the sample::

        own   g_i = -scale * own_i
        mean  g   = -scale * mu, the same from all of them

    The own update is partial knowledge; ``knowledge`` decides where mu comes from. A third attack
    of that name negates every local gradient: ``sign-flip-gradient``.

    Raises:
        UnfitRound: (in a round) no usable update is there to take the mean of.

    Source: ``own``: Li, Xu, Chen, Giannakis and Ling, RSA, AAAI 2019, section 5, "sign-flipping
    attack". ``mean``: Allen-Zhu, Ebrahimianghazani, Li and Alistarh, ICLR 2021, as in ByzFL.
    """

    name: ClassVar[str] = "sign-flip"
    summary: ClassVar[str] = "own update, or the benign mean, with the opposite sign"

    form: Annotated[
        Literal["own", "mean"],
        Spelling("own or mean; for local gradients take sign-flip-gradient"),
        "reverse the own update, or the mean of the sample",
    ] = "own"
    scale: Annotated[float, Gt(0), "factor on the reversed update"] = 1.0

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if self.form == "own" and self.knowledge != "partial":
            allowed = "partial with form=own, which uses no more"
            raise InvalidValue(f"{self.name}:knowledge", self.knowledge, allowed)

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``."""
        if self.form == "own":
            return (-self.scale * broadcast.own_of(participants).double()).float()
        update = -self.scale * mean(usable_sample(self, broadcast))
        return same_row(update, len(participants))


@registry.register
@dataclass(frozen=True)
class SignFlipGradient(PoisoningAttack):
    """Local training in which every gradient is multiplied by -1.

    The samples are left as they are. After one step that is ``sign-flip``. After more, each
    gradient is taken where the steps before have led, so the result is not the opposite of an
    honest update.

    Source: the gradient form of Li, Xu, Chen, Giannakis and Ling, RSA, AAAI 2019, section 5, as it
    is in libraries that flip the gradient of each batch, such as Blades.
    """

    name: ClassVar[str] = "sign-flip-gradient"
    summary: ClassVar[str] = "local training with the opposite sign on every gradient"

    def gradient_factor(self, broadcast: Broadcast) -> Tensor:
        """Return ``(d,)``, -1 for every coordinate."""
        return torch.full_like(broadcast.model, -1.0)
