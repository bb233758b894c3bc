"""What sentinel remembers of each identity, and for how long."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.rules import memory
from fedsiege.rules.memory import NOBODY, Memory, Turnout

#: Whoever moved in one of so many rounds, and was not suspected then, still has a say when absent.
POOL_ROUNDS = 10


@dataclass(frozen=True)
class SentinelState(Memory):
    """The memory; in ``seen`` only rounds in which one moved count.

    Attributes:
        momenta: ``(k, d)`` float32, the moving average E of the unit updates of each.
        lengths: ``(k,)`` float64, of the last update of each.
        reputations: ``(k,)`` float64, R: 0 good to 1 bad.
        flagged: ``(k,)`` bool, who had no weight when last here.
        usual: the length that updates were compared with when last the model moved; 0 before.
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
        return cls(NOBODY, NOBODY, 0, memory.no_rows(updates), none, none, none.bool())


@dataclass(frozen=True)
class Attendance:
    """Who is here, who is away, and who of them has a say.

    Attributes:
        turnout: who is here, and who is remembered.
        voting: ``(a,)`` bool, who of those away still has a say.
    """

    turnout: Turnout
    voting: Tensor

    @classmethod
    def of(cls, before: SentinelState, present: Tensor, remember: int) -> "Attendance":
        """Compare the memory with who is here.

        Args:
            before: the memory.
            present: ``(n,)`` int64, identities.
            remember: how many identities are remembered, see ``memory.absent``.
        """
        turnout = before.turnout(present, remember)
        recent = turnout.rounds - before.seen[turnout.away] <= POOL_ROUNDS
        return cls(turnout, recent & ~before.flagged[turnout.away])

    @property
    def pool(self) -> Tensor:
        """``(P,)`` int64, the identities of those here, then of those away who have a say."""
        n = len(self.turnout.places)
        return torch.cat([self.turnout.identities[:n], self.turnout.identities[n:][self.voting]])

    def lengths(self, before: SentinelState) -> Tensor:
        """Return ``(v,)`` float64: the lengths of the last updates of those away who have a say.

        Args:
            before: the memory.
        """
        return before.lengths[self.turnout.away[self.voting]]

    def suspects(self, before: SentinelState) -> Tensor:
        """Return ``(P,)`` bool: who of the pool had no weight when last here; newcomers had.

        Args:
            before: the memory.
        """
        found = torch.zeros(len(self.pool), dtype=torch.bool)
        self.turnout.recall_into(found[: len(self.turnout.places)], before.flagged)
        return found

    def reputations(self, before: SentinelState, hard: Tensor) -> Tensor:
        """Return ``(n,)`` float64: ``R <- 0.8 R + 0.2`` where flagged by a hard test, else 0.8 R.

        Four rounds of that in a row lead above 0.5; two clean ones from there back below.

        Args:
            before: the memory.
            hard: ``(n,)`` bool.
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
            before: the memory.
            momenta: ``(n + a, d)``, of those present and those away.
            lengths: ``(n,)`` of the updates of those present.
            reputations: ``(n,)`` of those present.
            flagged: ``(n,)`` bool, who of them had no weight.
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
