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
    """An update that was trained, but without data.

    Fake i trains from ``w_t`` on 8 noise images of its own. Each is labelled as the class after the
    one that the model predicts for it (see ``synthetic.py``). With ``G = w_t - w_{t-1}`` and the
    resulting step ``S_i``, it sends::

        g_i = norm * ||G|| * S_i / ||S_i||

    In the first round, and once the model is not finite, it sends zeros.

    Source: our own.
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
    """An update that was trained, with the norms of real training, tensor by tensor.

    As ``ad-synth``, but every tensor of ``S_i`` is scaled first to the norm that it has in ``G``.

    Source: our own.
    """

    name: ClassVar[str] = "ad-synthp"
    summary: ClassVar[str] = (
        "ad-synth with each tensor at the norm that it has in the last global step"
    )

    def _shape(self, trained: Tensor, broadcast: Broadcast) -> Tensor:
        return with_profile(trained, last_step(broadcast), broadcast.architecture)
