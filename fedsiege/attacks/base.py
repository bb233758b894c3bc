"""What an attack is.

An attack crafts the updates of the hostile participants of one worker. ``knows`` declares what it
may know, and it is given nothing else:

- *fake clients* know the broadcast model only;
- *compromised* participants know what they would have sent (``CompromisedAttack``), perhaps after
  training on data that they poisoned (``PoisoningAttack``);
- some may also know what the benign participants send: ``alie:knowledge=full``.
"""

import abc
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from torch import Tensor

from fedsiege import models
from fedsiege.errors import UnfitRound
from fedsiege.inputs import Domain, Inputs
from fedsiege.registry import Component, Registry
from fedsiege.training.base import Shard


class Knowledge(enum.Enum):
    """What an attacker may see."""

    NONE = "the broadcast model only"
    PARTIAL = "what its own compromised participants would have sent"
    FULL = "the benign updates of the round"


#: Pictures like those of MNIST.
MNIST_DOMAIN = Domain()

LEVELS = {"partial": Knowledge.PARTIAL, "full": Knowledge.FULL}


@dataclass(frozen=True)
class Broadcast:
    """What any participant of a round sees.

    Attributes:
        round_number: the round, 1 or more.
        model: ``(d,)`` float32, the global model ``w_t`` as it was sent out.
        previous: ``(d,)`` the model ``w_{t-1}`` of the round before, which every enrolled
            participant may see, drawn or not; None in the worker's first round.
        architecture: the model, for attacks that build weights of their own.
        seed: the run's seed.
        hostile: the indices of all hostile participants of the round, ascending, wherever they are
            hosted; empty unless the attack knows what they would have sent.
        own: ``(k, d)`` what all of ``hostile`` would have sent, had they trained as told, or, by a
            PoisoningAttack, what training on their poisoned samples gave; None unless the attack
            knows that.
        benign: ``(m, d)`` what the benign participants send in this round, by the order of their
            indices; None unless the attack knows that.
        benign_indices: these indices, ascending; empty unless the attack knows ``benign``.
        rule: the aggregation rule with its parameters; empty unless the attack knows everything.
        participants: how many participants, benign and hostile, are scheduled in the round; 0 where
            that is not known. Only an attack that takes its own for a sample has to ask.
    """

    round_number: int
    model: Tensor
    previous: Tensor | None
    architecture: models.Named
    seed: int
    hostile: tuple[int, ...] = ()
    own: Tensor | None = None
    benign: Tensor | None = None
    benign_indices: tuple[int, ...] = ()
    rule: str = ""
    participants: int = 0

    def own_of(self, participants: Sequence[int]) -> Tensor:
        """Return ``(len(participants), d)`` float32, the rows of ``own`` of some participants."""
        assert self.own is not None, "what an attack knows is passed in"
        place = {index: row for row, index in enumerate(self.hostile)}
        return self.own[[place[index] for index in participants]].float()


@dataclass(frozen=True)
class Setting:
    """A round that an experiment may have, as far as it is known before the first.

    Attributes:
        benign: how many benign participants take part.
        hostile: how many hostile ones, 1 or more.
        rule: the aggregation rule with its parameters; empty if only the numbers are asked about.
        participants: how many there are to draw from: their indices run below it; None if that is
            open.
        hostile_indices: the indices of all hostile ones, in whatever round; None if that is open.
        inputs: what a sample of the data set is; None if only reading it shows that.
    """

    benign: int
    hostile: int
    rule: str = ""
    participants: int | None = None
    hostile_indices: frozenset[int] | None = None
    inputs: Inputs | None = None


class Attack(Component, abc.ABC):
    """Base of all attacks: a frozen dataclass of parameters and one function."""

    #: Whether it tries the running rule out before it sends anything.
    tries_rule: ClassVar[bool] = False
    #: Whether its participants train on poisoned samples: see PoisoningAttack.
    poisons: ClassVar[bool] = False
    #: Whether it remembers something from round to round: see StatefulAttack.
    remembers: ClassVar[bool] = False

    @property
    def knows(self) -> Knowledge:
        """The knowledge of the attack, passed to it in the broadcast."""
        return Knowledge.NONE

    @property
    def aliases(self) -> int:
        """How many identities each hostile participant holds; it uses them in turn.

        Each has an index of its own, and in every round another one of them takes part; with none,
        0, it never does.
        """
        return 1

    @property
    def targeted(self) -> bool:
        """Whether it wants inputs to be taken for certain classes, so that it has a success rate.

        See ``fedsiege.experiment.attack_success``.
        """
        return False

    def probe(
        self, images: Tensor, labels: Tensor, seed: int, domain: Domain = MNIST_DOMAIN
    ) -> tuple[Tensor, Tensor]:
        """Return the inputs that the attack is measured on, and the classes that it wants for them.

        Inputs whose true label is the target already are left out: they prove nothing.

        Args:
            images: ``(M, *shape)`` held-out inputs, which no participant trains on. Not changed.
            labels: ``(M,)`` int64, their true labels.
            seed: the run's seed.
            domain: what the inputs are.

        Returns:
            Inputs ``(K, *shape)`` and targets ``(K,)`` int64; K is 0 unless it is targeted, and
            may be 0 then.
        """
        return images[:0], labels[:0]

    def check(self, setting: Setting) -> None:
        """Raise UnfitRound if it cannot work in such a round."""

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

    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, object | None]:
        """Return the updates, and what to pass in the next round.

        Args:
            broadcast: what they see.
            participants: all hostile participants of the worker that take part, ascending; in a
                round in which none of them was drawn, none. What is remembered does not depend on
                them: other workers have others.
            state: what this returned the last time; None in the first round.
        """
        return self.craft(broadcast, participants), None

    def poison(
        self, shard: Shard, participant: int, seed: int, domain: Domain = MNIST_DOMAIN
    ) -> Shard:
        """Return what a participant trains on instead of its samples; the shard is not changed.

        The same for the same participant and seed, in every round.

        Args:
            shard: its samples.
            participant: its index.
            seed: the run's seed.
            domain: what the samples are.
        """
        return shard

    def gradient_factor(self, broadcast: Broadcast) -> Tensor | None:
        """Return ``(d,)`` by which each gradient is multiplied in local training, None for 1."""
        return None

    def claim(self, participants: Sequence[int]) -> tuple[int, int]:
        """Return the sample count and the number of steps that each of them reports."""
        return 1, 1


class StatefulAttack(Attack):
    """Base of the attacks that remember something from round to round."""

    remembers: ClassVar[bool] = True

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return the updates of a first round."""
        return self.advance(broadcast, participants, None)[0]

    @abc.abstractmethod
    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, object]:
        """Return the updates, and what to pass in the next round; see ``Attack``."""


@dataclass(frozen=True)
class CompromisedAttack(Attack):
    """Base of the attacks by participants that hold data and could train on it."""

    knowledge: Annotated[
        Literal["partial", "full"],
        "what is known of benign updates: partial, what the attackers themselves would have "
        "sent; full, what every benign participant sends",
    ] = "partial"

    @property
    def knows(self) -> Knowledge:
        """The knowledge of the attack, passed to it in the broadcast."""
        return LEVELS[self.knowledge]

    @property
    def least(self) -> int:
        """How many updates its sample must have."""
        return 1

    def check(self, setting: Setting) -> None:
        """Raise UnfitRound if its sample will be too small."""
        partial = self.knows is Knowledge.PARTIAL
        self.require_sample(setting.hostile if partial else setting.benign)

    def require_sample(self, count: int) -> None:
        """Raise UnfitRound unless its sample is large enough, with that many usable updates."""
        if count < self.least:
            side = "hostile" if self.knows is Knowledge.PARTIAL else "benign"
            raise UnfitRound(
                f"{self.name} needs at least {self.least} usable updates of the {side} "
                f"participants to go by (knowledge={self.knowledge}), there are {count}"
            )

    def sample(self, broadcast: Broadcast) -> Tensor:
        """Return ``(m, d)``, the updates that it takes for those of the benign participants."""
        rows = broadcast.own if self.knows is Knowledge.PARTIAL else broadcast.benign
        assert rows is not None, "what an attack knows is passed in"
        return rows

    def senders(self, broadcast: Broadcast) -> tuple[int, ...]:
        """Return the participant indices of the rows of ``sample``."""
        partial = self.knows is Knowledge.PARTIAL
        return broadcast.hostile if partial else broadcast.benign_indices


class PoisoningAttack(Attack):
    """Base of the attacks by compromised participants that train on poisoned data."""

    poisons: ClassVar[bool] = True

    @property
    def knows(self) -> Knowledge:
        """The knowledge of the attack, passed to it in the broadcast."""
        return Knowledge.PARTIAL

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return what training on the poisoned data gave."""
        return broadcast.own_of(participants)


registry: Registry[Attack] = Registry("attack", Attack, "fedsiege.attacks")
