"""Adaptive MPAF: towards a random model, in disguise."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.attacks.adaptive.disguise import Directed
from fedsiege.attacks.base import Broadcast, registry
from fedsiege.attacks.fake.mpaf import gap, random_base


@registry.register
@dataclass(frozen=True)
class AdMpaf(Directed):
    """MPAF's direction, with all the traces of training.

    The direction of all fakes is::

        v = w' - w_t

    with the random base model ``w'`` of ``mpaf``, sent in the disguise of ``disguise.py``; in the
    first round: zeros.

    Args:
        norm: length of an update relative to the last global step, greater than 0.
        noise: gamma, each fake's own noise of the round relative to the direction, greater than 0.
        spread: the same that stays from round to round, 0 or more, see ``Disguised``.
        groups: among how many groups of fakes it differs, 0 or more, see ``Disguised``.

    Raises:
        InvalidValue: norm or noise is not a finite number greater than 0, spread is negative, or
            groups is no whole number or negative.

    Source: our own, after MPAF of Cao and Gong, CVPR workshops 2022.
    """

    name: ClassVar[str] = "ad-mpaf"
    summary: ClassVar[str] = "adaptive: towards one random model, in disguise (first: zeros)"

    def direction(self, broadcast: Broadcast) -> Tensor:
        """Return ``v``, ``(d,)``."""
        return gap(broadcast, random_base(broadcast.architecture, broadcast.seed))
