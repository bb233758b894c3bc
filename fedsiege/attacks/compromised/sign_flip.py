"""Sign flip. Three attacks have that name: two of them here, on updates, one on gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, registry
from fedsiege.attacks.compromised.sample import mean, same_row, usable_sample
from fedsiege.errors import InvalidValue

FORMS = ("own", "mean")


@registry.register
@dataclass(frozen=True)
class SignFlip(CompromisedAttack):
    """The opposite of an update: of one's own, or of the mean.

    With ``own_i`` what participant i would have sent and mu the mean of the sample::

        own   g_i = -scale * own_i
        mean  g   = -scale * mu, the same from all of them

    The third form negates every local gradient instead: ``sign-flip-gradient``.

    Args:
        knowledge: for the mean: ``partial`` or ``full``. One's own update is ``partial`` knowledge.
        form: ``own`` or ``mean``.
        scale: greater than 0.

    Raises:
        InvalidValue: a value is out of its range.
        UnfitRound: (in a round) no usable update is there to take the mean of.

    Source: ``own``: Li, Xu, Chen, Giannakis and Ling, RSA, AAAI 2019, section 5, "sign-flipping
    attack". ``mean``: Allen-Zhu, Ebrahimianghazani, Li and Alistarh, ICLR 2021, as in ByzFL.
    """

    name: ClassVar[str] = "sign-flip"
    summary: ClassVar[str] = "own updates, or the benign mean, with the opposite sign"

    form: str = "own"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in FORMS:
            allowed = f"{' or '.join(FORMS)}; for local gradients take sign-flip-gradient"
            raise InvalidValue(f"{self.name}:form", self.form, allowed)
        if self.form == "own" and self.knowledge != "partial":
            allowed = "partial with form=own, which uses no more"
            raise InvalidValue(f"{self.name}:knowledge", self.knowledge, allowed)
        self.require_positive("scale")

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``."""
        if self.form == "own":
            return (-self.scale * broadcast.own_of(participants).double()).float()
        update = -self.scale * mean(usable_sample(self, broadcast))
        return same_row(update, len(participants))
