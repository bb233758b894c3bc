"""Flooding: many identities, none of which is seen often."""

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
    """MPAF from another identity in every round.

    Each hostile participant holds several identities and takes part with one after the other, so
    that no reputation, history of updates or exclusion holds it back. With ``a`` one of the
    identities::

        g_a = scale * (w' - w_t) + noise * ||scale * (w' - w_t)|| * eps_a / ||eps_a||

    ``eps_a ~ N(0, I)`` is drawn for each identity in every round: the update does not give an
    identity away, neither beside others nor from round to round. ``participants`` are the
    identities that take part in this round; the simulator enrols all of them and rotates them.

    Source: our own; the update is MPAF's (Cao and Gong, CVPR workshops 2022), the many identities
    are those of Douceur, The Sybil Attack, IPTPS 2002.
    """

    name: ClassVar[str] = "flooding"
    summary: ClassVar[str] = "mpaf with noise, from another identity in every round"

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
