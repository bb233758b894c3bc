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
    r"""Send MPAF with noise, from another identity in every round.

    Each hostile participant holds several identities and takes part with one after the other, so
    that no reputation, history of updates or exclusion holds it back. They are fake clients: they
    know the broadcast model only, and aim at a model that is wrong on all inputs. With :math:`a`
    one of the identities:

    .. math::

        g_a = u_a + \text{noise} \cdot \lVert u_a \rVert
            \frac{\varepsilon_a}{\lVert \varepsilon_a \rVert},
        \qquad u_a = \text{scale} \cdot (w' - w_t), \qquad \varepsilon_a \sim N(0, I)

    :math:`w_t` is the broadcast model. :math:`w'` is the random base model of ``mpaf``, or one of
    each identity's own with ``own_base=true``. :math:`\varepsilon_a` is drawn for each identity in
    every round: the update does not give an identity away, neither beside others nor from round to
    round.

    Only the identities that take part in the round send an update; the simulator enrols all of them
    and rotates them.

    Source:
        FedSiege's own: see :doc:`/attacks`. The update is that of Xiaoyu Cao and Neil Zhenqiang
        Gong, `MPAF: Model Poisoning Attacks to Federated Learning based on Fake Clients
        <https://arxiv.org/abs/2203.08669>`_, CVPR Workshops 2022, section 4. The many identities
        are those of John R. Douceur, `The Sybil Attack
        <https://doi.org/10.1007/3-540-45748-8_24>`_, IPTPS 2002.
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
