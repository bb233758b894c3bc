"""Adaptive drift: one random direction for the whole run, in disguise."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.adaptive.disguise import Directed
from fedsiege.attacks.base import Broadcast, registry
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class AdDrift(Directed):
    r"""Push in one random direction for the whole run, in disguise.

    Fake clients know the broadcast model only. They aim at small pushes that add up, and that no
    detector tells from honest training. The direction is drawn once per run for all fakes:

    .. math::

        v \sim N(0, I), \qquad g_i = \operatorname{disguise}_i(v), \qquad
        \lVert g_i \rVert = \text{norm} \cdot \lVert G_t \rVert

    Fake :math:`i` sends it in a *disguise*, which gives it the traces of training. With the last
    global step :math:`G_t = w_t - w_{t-1}`, where :math:`w_t` is the broadcast model, and a step
    :math:`S` that was trained on synthetic images from :math:`w_t` as in ``ad-synth``:

    1. *Spectrum*: in every weight matrix of :math:`v / \lVert v \rVert`, the singular values after
       the second are scaled down until the first two have the share of the squares that they have
       in :math:`S`.
    2. *Noise*: to every matrix :math:`W` the fake adds one of rank one,
       :math:`\text{noise} \cdot \lVert W \rVert` long and drawn in every round, and one that is
       ``spread`` times as long as :math:`W` and the same in every round, for all of one of the
       ``groups`` if there are any.
    3. *Dead set*: 0 wherever :math:`S` is exactly 0.
    4. *Class sums*: over the classes, each column of the last layer's weights sums to 0.
    5. *Coherence*: biases are the sums of their rows of weights, with the sign that the two have
       together in :math:`G_t`, and so sum to 0 over the classes as well.
    6. *Profile and norm*: every tensor has the share of the norm that it has in :math:`G_t`, and
       the whole update is :math:`\text{norm} \cdot \lVert G_t \rVert` long.

    Zeros are sent where there is nothing to hide behind or nothing to hide: in the first round,
    after a round in which the model stood still, with a direction of 0, and once the model is not
    finite.

    Source:
        FedSiege's own: see :doc:`/sentinel`. The disguise was made to pass the hard tests of the
        rule ``sentinel``.
    """

    name: ClassVar[str] = "ad-drift"
    summary: ClassVar[str] = "adaptive: one random direction for the whole run, disguised"

    def direction(self, broadcast: Broadcast) -> Tensor:
        """Return ``v``, ``(d,)`` float64."""
        draw = generator(broadcast.seed, "ad-drift direction")
        return torch.from_numpy(draw.standard_normal(broadcast.model.numel()))
