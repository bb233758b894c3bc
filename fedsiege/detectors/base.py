"""What a detector is.

A detector examines the updates of a round, from what an aggregator may see, and scores how suspect
each participant is. It is a frozen dataclass of its parameters; what it remembers from
round to round is one frozen dataclass of tensors and numbers, passed in and returned, which
``fedsiege.rules.state`` turns into bytes and back. It moves no model: what becomes of those
it flags is decided in quarantine.py.
"""

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.registry import Component, Registry
from fedsiege.rules.base import finite_rows
from fedsiege.rules.context import RoundContext

#: A score of this much or more is a flag.
FLAGGED = 1.0


@dataclass(frozen=True)
class Detector(Component, abc.ABC):
    """Base of all detectors."""

    @property
    def least(self) -> int:
        """The least number of participants that it can compare."""
        return 1

    def score(
        self, updates: Tensor, context: RoundContext | None = None, state: object | None = None
    ) -> tuple[Tensor, object | None]:
        """Score the participants of a round.

        Args:
            updates: ``(n, d)`` floating point, one update per row; n may be 0. They are not
                changed.
            context: what else is known of the round.
            state: what this returned in the round before; None in the first.

        Returns:
            ``(n,)`` float64 on the CPU, the more suspect the higher, 1 or more is flagged, and what
            to pass in the next round. Rows with a NaN or an infinity, or beyond float32, have an
            infinite score, and the others the scores they have without them.

        Raises:
            UnfitRound: the updates are no matrix, or it needs something that the context does not
                tell.
        """
        if updates.ndim != 2 or not updates.is_floating_point() or updates.shape[1] == 0:
            raise UnfitRound(
                f"updates must be a floating point matrix (n, d), not {updates.dtype} "
                f"{tuple(updates.shape)}"
            )
        context = context or RoundContext()
        context.check(len(updates))
        scores = torch.full((len(updates),), torch.inf, dtype=torch.float64)
        if len(updates) == 0:
            return scores, state
        updates = updates.detach()
        usable = finite_rows(updates).cpu()
        if usable.all():
            return self.judge(updates, context, state)
        if usable.any():
            kept = updates[usable.to(updates.device)]
            scores[usable], state = self.judge(kept, context.of_rows(usable), state)
        return scores, state

    @abc.abstractmethod
    def judge(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> tuple[Tensor, object | None]:
        """Score the updates: there is at least one row, and all are finite."""


registry: Registry[Detector] = Registry("detector", Detector, "fedsiege.detectors")
