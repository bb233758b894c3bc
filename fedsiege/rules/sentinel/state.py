"""What sentinel remembers of each participant, and for how long."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.rules import memory
from fedsiege.rules.memory import NO_IDENTITIES, Memory, Turnout

#: An absent participant stays in the pool for this many rounds after its last update.
POOL_ROUNDS = 10


@dataclass(frozen=True)
class SentinelState(Memory):
    """The memory of k participants; ``seen`` is the last round with an update other than zero.

    Attributes:
        momenta: ``(k, d)`` float32, the moving average E of the unit updates.
        lengths: ``(k,)`` float64, the L2 norm of the last update.
        reputations: ``(k,)`` float64, R: 0 good to 1 bad.
        flagged: ``(k,)`` bool, whether the last update had no weight.
        usual: the length that updates were compared with when the model moved last; 0 before.
    """

    momenta: Tensor
    lengths: Tensor
    reputations: Tensor
    flagged: Tensor
    usual: float = 0.0

    @classmethod
    def empty(cls, updates: Tensor) -> "SentinelState":
        """Return the memory before the first round."""
        none = torch.zeros(0, dtype=torch.float64)
        return cls(
            NO_IDENTITIES, NO_IDENTITIES, 0, memory.no_rows(updates), none, none, none.bool()
        )


@dataclass(frozen=True)
class Attendance:
    """The participants that are present in a round, and those that are absent and remembered.

    Attributes:
        turnout: the comparison of the memory with the participants present.
        counted: ``(a,)`` bool, which of the absent participants are in the pool.
    """

    turnout: Turnout
    counted: Tensor

    @classmethod
    def of(cls, before: SentinelState, present: Tensor, remember: int) -> "Attendance":
        """Return the attendance of a round.

        Args:
            before: the memory before the round.
            present: ``(n,)`` int64, the identities present.
            remember: the number of identities to remember, see ``memory.absent``.
        """
        turnout = before.turnout(present, remember)
        recent = turnout.rounds - before.seen[turnout.away] <= POOL_ROUNDS
        return cls(turnout, recent & ~before.flagged[turnout.away])

    @property
    def pool(self) -> Tensor:
        """``(P,)`` int64, the identities of the pool: those present, then those absent."""
        n = len(self.turnout.places)
        return torch.cat([self.turnout.identities[:n], self.turnout.identities[n:][self.counted]])

    def lengths(self, before: SentinelState) -> Tensor:
        """Return ``(v,)`` float64: the lengths of the last updates of the pool's absent members.

        Args:
            before: the memory before the round.
        """
        return before.lengths[self.turnout.away[self.counted]]

    def suspects(self, before: SentinelState) -> Tensor:
        """Return ``(P,)`` bool: whether the last update of each pool member had no weight.

        It is False for new participants.

        Args:
            before: the memory before the round.
        """
        found = torch.zeros(len(self.pool), dtype=torch.bool)
        self.turnout.recall_into(found[: len(self.turnout.places)], before.flagged)
        return found

    def reputations(self, before: SentinelState, hard: Tensor) -> Tensor:
        """Return ``(n,)`` float64: ``R <- 0.8 R + 0.2`` if a hard test flags, else ``0.8 R``.

        Four flagged rounds in a row raise R above 0.5; two clean rounds then lower it below.

        Args:
            before: the memory before the round.
            hard: ``(n,)`` bool, the flags of the hard tests.
        """
        past = torch.zeros(len(hard), dtype=torch.float64)
        self.turnout.recall_into(past, before.reputations)
        return 0.8 * past + 0.2 * hard.double()

    def remembering(
        self,
        before: SentinelState,
        momenta: Tensor,
        lengths: Tensor,
        reputations: Tensor,
        flagged: Tensor,
        usual: float,
    ) -> SentinelState:
        """Return the memory after this round.

        Args:
            before: the memory before the round.
            momenta: ``(n + a, d)``, of the participants present and those absent.
            lengths: ``(n,)``, the lengths of this round's updates.
            reputations: ``(n,)``, of the participants present.
            flagged: ``(n,)`` bool, whether their updates had no weight.
            usual: the length that updates were compared with.
        """
        turnout = self.turnout
        return SentinelState(
            identities=turnout.identities,
            seen=turnout.seen,
            rounds=turnout.rounds,
            momenta=momenta,
            lengths=turnout.carry(lengths, before.lengths),
            reputations=turnout.carry(reputations, before.reputations),
            flagged=turnout.carry(flagged, before.flagged),
            usual=usual,
        )
