"""What an attack is.

An attack crafts the updates of the hostile participants of one worker. What it may know is
declared in ``knowledge`` and enforced by what it is handed.
"""

import abc
import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fedsiege.catalogue import Catalogue
from fedsiege.errors import InvalidValue


class Knowledge(enum.Enum):
    """What an attacker may see."""

    NONE = "the broadcast model only"
    PARTIAL = "what its own compromised participants would have sent"
    FULL = "the benign updates of the round"


@dataclass(frozen=True)
class Broadcast:
    """What any participant of a round sees.

    Attributes:
        round_number: the round, 1 or more.
        model: ``(d,)`` float32, the global model ``w_t`` as it was sent out.
        previous: ``(d,)`` the model ``w_{t-1}`` sent out the last time this worker took part, or
            None in its first round.
        architecture: the name of the model, for attacks that build weights of their own.
        seed: the run's seed.
    """

    round_number: int
    model: Tensor
    previous: Tensor | None
    architecture: str
    seed: int


class Attack(abc.ABC):
    """Base of all attacks: a frozen dataclass of parameters and one function."""

    name: ClassVar[str]
    summary: ClassVar[str]
    knowledge: ClassVar[Knowledge]

    def require_positive(self, parameter: str, *, or_zero: bool = False) -> None:
        """Check one of this attack's own parameters, for ``__post_init__``.

        Raises:
            InvalidValue: it is not a finite number above 0 (or 0 itself, if ``or_zero``).
        """
        value = getattr(self, parameter)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0 or (value == 0 and not or_zero):
            allowed = "a finite number, 0 or more" if or_zero else "a finite number greater than 0"
            raise InvalidValue(f"{self.name}:{parameter}", value, allowed)

    @abc.abstractmethod
    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return the updates of these participants.

        The update of a participant is the same whichever worker hosts it: what is random is drawn
        by participant index. Nothing that was broadcast is changed.

        Args:
            broadcast: what they see.
            participants: their indices, ascending.

        Returns:
            ``(len(participants), d)`` float32, one update (delta) per row; rows may share memory.
        """


catalogue: Catalogue[Attack] = Catalogue("attack")
