"""What a detector is.

A detector examines the updates of a round, from what an aggregator may see, and scores how suspect
each participant is. It is a frozen dataclass of its parameters; what it remembers from
round to round is one frozen dataclass of tensors and numbers, passed in and returned, which
``fedsiege.rules.state`` turns into bytes and back. It moves no model: what becomes of those
it flags is decided in quarantine.py.
"""

import abc
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.registry import Component, Registry
from fedsiege.rules.base import finite_rows
from fedsiege.rules.context import RoundContext, received
from fedsiege.rules.updates import Updates

#: A score of this much or more is a flag.
FLAGGED = 1.0


@dataclass(frozen=True)
class Detector(Component, abc.ABC):
    """Base of all detectors."""

    #: What it needs to know of the round besides the updates: names of fields of RoundContext.
    needs: ClassVar[tuple[str, ...]] = ()

    @property
    def least(self) -> int:
        """The least number of participants that it can compare."""
        return 1

    def score(
        self, updates: Updates, context: RoundContext | None = None, state: object | None = None
    ) -> tuple[Tensor, object | None]:
        """Score the participants of a round.

        Args:
            updates: one update per participant, in the kinds that rules take, see
                ``rules.updates``; there may be none. They are not changed.
            context: what else is known of the round.
            state: what this returned in the round before; None in the first.

        Returns:
            ``(n,)`` float64 on the CPU, the more suspect the higher, 1 or more is flagged, and what
            to pass in the next round. Rows with a NaN or an infinity, or beyond float32, have an
            infinite score, and the others the scores they have without them.

        Raises:
            UnfitRound: updates of a kind that is not taken, or it needs something that the context
                does not tell.
        """
        rows, known, _ = received(updates, context or RoundContext())
        scores = torch.full((len(rows),), torch.inf, dtype=torch.float64)
        if len(rows) == 0:
            return scores, state
        known.require(self.name, *self.needs)
        usable = finite_rows(rows).cpu()
        if usable.all():
            return self.judge(rows, known, state)
        if usable.any():
            kept = rows[usable.to(rows.device)]
            scores[usable], state = self.judge(kept, known.of_rows(usable), state)
        return scores, state

    @abc.abstractmethod
    def judge(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> tuple[Tensor, object | None]:
        """Score the updates: there is at least one row, and all are finite."""


registry: Registry[Detector] = Registry("detector", Detector, "fedsiege.detectors")
