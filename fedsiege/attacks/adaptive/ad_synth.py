"""Adaptive synthetic training: real SGD, on images of noise with wrong labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.adaptive.disguise import with_profile
from fedsiege.attacks.adaptive.synthetic import synthetic_steps
from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.attacks.vectors import last_step, unit


@registry.register
@dataclass(frozen=True)
class AdSynth(Attack):
    r"""Train for real, on images of noise with wrong labels.

    Fake clients know the broadcast model only. They aim at an update that a detector takes for an
    honest one, since it was trained, and that is wrong on all inputs. Fake :math:`i` sends:

    .. math::

        g_i = \text{norm} \cdot \lVert G_t \rVert \frac{S_i}{\lVert S_i \rVert}, \qquad
        G_t = w_t - w_{t-1}

    :math:`w_t` is the broadcast model and :math:`G_t` the last global step. :math:`S_i` is what
    fake :math:`i` gets by training from :math:`w_t` on 8 images of its own, the same in every
    round: 4 steps of SGD with a learning rate of 0.05, two epochs in batches of 4. Each pixel is
    uniform from black to white, and each image is labelled as the class after the one that
    :math:`w_t` predicts for it.

    The fakes send zeros in the first round, after a round in which the model stood still, and once
    the model is not finite.

    Source:
        FedSiege's own: see :doc:`/sentinel`.
    """

    name: ClassVar[str] = "ad-synth"
    summary: ClassVar[str] = "adaptive: trained on noise images with wrong labels"

    norm: Annotated[float, Gt(0), "length of an update, as a multiple of the last global step"] = (
        8.0
    )

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row another."""
        step = last_step(broadcast)
        updates = torch.zeros(len(participants), step.numel())
        if not step.isfinite().all() or not step.any():
            return updates
        trained = synthetic_steps(broadcast, participants)
        for row, own in zip(updates, trained, strict=True):
            if own.isfinite().all():
                row.copy_(self.norm * step.norm() * unit(self._shape(own.double(), broadcast)))
        return updates

    def _shape(self, trained: Tensor, broadcast: Broadcast) -> Tensor:
        """Return ``(d,)``, the update of a fake at any length."""
        return trained


@registry.register
@dataclass(frozen=True)
class AdSynthP(AdSynth):
    r"""Train on noise as ``ad-synth`` does, with the norms of real training, tensor by tensor.

    Fake clients know the broadcast model only, and aim at what ``ad-synth`` aims at. Fake :math:`i`
    sends:

    .. math::

        g_i = \text{norm} \cdot \lVert G_t \rVert \frac{P_i}{\lVert P_i \rVert}, \qquad
        P_{i,l} = \lVert G_{t,l} \rVert \frac{S_{i,l}}{\lVert S_{i,l} \rVert}

    :math:`G_t = w_t - w_{t-1}` is the last global step and :math:`S_i` the step that ``ad-synth``
    trains; :math:`l` runs over the tensors of the model. A tensor of zeros stays one.

    Source:
        FedSiege's own: see :doc:`/sentinel`.
    """

    name: ClassVar[str] = "ad-synthp"
    summary: ClassVar[str] = (
        "ad-synth with each tensor at the norm that it has in the last global step"
    )

    def _shape(self, trained: Tensor, broadcast: Broadcast) -> Tensor:
        return with_profile(trained, last_step(broadcast), broadcast.architecture)
