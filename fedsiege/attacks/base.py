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
from fedsiege.training import Shard


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
        own: ``(k, d)`` what these participants would have sent, by the order of their indices, had
            they trained as told; None unless the attack's knowledge is partial or full.
        benign: ``(m, d)`` what the benign participants send in this round, by the order of their
            indices; None unless the attack's knowledge is full.
        rule: the aggregation rule with its parameters; empty unless the knowledge is full.
    """

    round_number: int
    model: Tensor
    previous: Tensor | None
    architecture: str
    seed: int
    own: Tensor | None = None
    benign: Tensor | None = None
    rule: str = ""


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

    def claim(self, participants: Sequence[int]) -> tuple[int, int]:
        """Return the sample count and the number of steps that each of them reports."""
        return 1, 1


class StatefulAttack(Attack):
    """Base of the attacks that remember something from round to round."""

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return the updates of a first round."""
        return self.advance(broadcast, participants, None)[0]

    @abc.abstractmethod
    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, object]:
        """Return the updates, and what to be handed in the next round.

        Args:
            broadcast: what they see.
            participants: all hostile participants of the worker that take part, ascending.
            state: what this returned the last time; None in the first round.
        """


class PoisoningAttack(Attack):
    """Base of the attacks by compromised participants that train on poisoned data."""

    knowledge: ClassVar[Knowledge] = Knowledge.PARTIAL

    @abc.abstractmethod
    def poison(self, shard: Shard, participant: int, seed: int) -> Shard:
        """Return what a participant trains on instead of its samples; the shard is not changed.

        The same for the same participant and seed, in every round.
        """

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return what training on the poisoned data gives, which is handed in as ``own``."""
        assert broadcast.own is not None
        return broadcast.own


catalogue: Catalogue[Attack] = Catalogue("attack")
