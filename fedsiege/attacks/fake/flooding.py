"""Flooding: so many identities that none is seen often enough to be remembered for anything."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from fedsiege.attacks.base import registry
from fedsiege.attacks.fake.mpaf import MpafSpread

#: The most identities that one participant may hold.
_MOST = 1000


@registry.register
@dataclass(frozen=True)
class Flooding(MpafSpread):
    """MPAF under another identity in every round.

    Each hostile participant holds several identities and comes under one after the other, so that
    no reputation, no history of updates and no exclusion sticks to it. With ``a`` one of them::

        g_a = scale * (w' - w_t) + noise * ||scale * (w' - w_t)|| * eps_a / ||eps_a||

    ``eps_a ~ N(0, I)`` is drawn for each identity in every round: identities are not given away by
    what they send, neither next to one another nor from round to round. ``participants`` are the
    identities that come in this round; the simulator enrols them all and rotates them.

    Raises:
        InvalidValue: a parameter is out of its range, or nothing would tell the identities apart.

    Source: our own; the update is MPAF's (Cao and Gong, CVPR workshops 2022), the many identities
    are those of Douceur, The Sybil Attack, IPTPS 2002.
    """

    name: ClassVar[str] = "flooding"
    summary: ClassVar[str] = "mpaf with noise, every fake under another identity in each round"

    own_base: Annotated[bool, "give every identity a base model of its own"] = False
    noise: Annotated[
        float, Ge(0), "length of each identity's own noise, as a multiple of its update"
    ] = 0.5
    identities: Annotated[
        int, Ge(1), Le(_MOST), "number of identities of each hostile participant"
    ] = 10

    @property
    def aliases(self) -> int:
        """How many identities each hostile participant holds; it uses them in turn."""
        return self.identities
