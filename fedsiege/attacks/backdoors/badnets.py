"""BadNets: a small white square is the backdoor's trigger."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le
from torch import Tensor

from fedsiege.attacks.backdoors.backdoor import TriggerAttack
from fedsiege.attacks.base import registry

#: Pictures have 28 rows and columns; the square keeps off the edge, as in the paper.
_SIDE, _MARGIN = 28, 1
_WHITE = 1.0


@registry.register
@dataclass(frozen=True)
class BadNets(TriggerAttack):
    """A square of white pixels near the lower right corner, one pixel off the edges.

    A pattern-key backdoor. Every attacker stamps some of its samples, whatever their class, and
    labels them as the target.

    Source: Gu, Dolan-Gavitt and Garg, BadNets, 2017, section 3 (MNIST). Sending it boosted into a
    federation: Bagdasaryan et al., AISTATS 2020.
    """

    name: ClassVar[str] = "badnets"
    summary: ClassVar[str] = "backdoor: a white square in a picture makes it the target class"

    size: Annotated[int, Ge(1), Le(_SIDE - 2 * _MARGIN), "side of the square in pixels"] = 4

    def stamp(self, images: Tensor) -> Tensor:
        """Return the images with the square on them."""
        stamped = images.clone()
        end = _SIDE - _MARGIN
        stamped[:, :, end - self.size : end, end - self.size : end] = _WHITE
        return stamped
