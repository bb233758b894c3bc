"""What an aggregation rule is.

A rule turns the updates of a round, one row each, into the one update that the global model takes:
``w_{t+1} = w_t + Agg(g_1 .. g_n)``. It is a frozen dataclass of its parameters and a function of
the rows; it neither changes its input nor depends on the order of the rows.
"""

import abc
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from fedsiege.catalogue import Catalogue
from fedsiege.errors import UnfitRound

#: Share of hostile participants a rule assumes where nobody says otherwise.
ASSUMED_HOSTILE_SHARE = 0.2


@dataclass(frozen=True)
class Aggregation:
    """What a rule made of a round.

    Attributes:
        update: ``(d,)``, what the global model takes.
        accepted: ``(n,)`` bool, the rows that had weight.
        scores: ``(n,)`` the rule's score of each row, or None for rules that give none.
    """

    update: Tensor
    accepted: Tensor
    scores: Tensor | None = None


class Rule(abc.ABC):
    """Base of all rules.

    A rule that needs the assumed number of hostile participants has a field ``f: int | None``;
    None stands for ``floor(0.2 n)``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def for_participants(self, n: int) -> Self:
        """Return this rule with ``f`` settled for n participants, and check that it can work.

        Raises:
            UnfitRound: the rule cannot work with n updates.
        """
        settled = self
        if any(field.name == "f" for field in fields(self)) and getattr(self, "f") is None:  # type: ignore[arg-type]  # noqa: B009
            settled = replace(self, f=int(ASSUMED_HOSTILE_SHARE * n))  # type: ignore[type-var]
        settled.check(n)
        return settled

    def check(self, n: int) -> None:  # noqa: B027 - most rules work with any n
        """Raise UnfitRound if this rule, its ``f`` settled, cannot work with n updates."""

    def __call__(self, updates: Tensor, *, weights: Tensor | None = None) -> Aggregation:
        """Aggregate.

        Args:
            updates: ``(n, d)`` floating point, one update per row, rows by participant index. Rows
                with a NaN or an infinity are left out, as if they had not come.
            weights: ``(n,)`` the sample counts the participants report, or None. Rules that use
                them bound them.

        Raises:
            UnfitRound: no usable row, or the rule cannot work with that many.
        """
        if updates.ndim != 2 or not updates.is_floating_point():
            raise UnfitRound(
                f"updates must be a floating point matrix (n, d), not {updates.dtype} "
                f"{tuple(updates.shape)}"
            )
        if weights is not None and weights.shape != updates.shape[:1]:
            raise UnfitRound(
                f"weights must be one number per row, {updates.shape[0]}, "
                f"not {tuple(weights.shape)}"
            )
        usable = finite_rows(updates)
        count = int(usable.sum())
        if count == 0:
            raise UnfitRound(f"none of the {updates.shape[0]} updates is usable")
        rule = self.for_participants(count)
        if count == updates.shape[0]:
            return rule.combine(updates, weights)
        result = rule.combine(updates[usable], weights[usable] if weights is not None else None)
        accepted = torch.zeros_like(usable)
        accepted[usable] = result.accepted
        scores = None
        if result.scores is not None:
            scores = torch.full(usable.shape, torch.nan, dtype=result.scores.dtype)
            scores = scores.to(result.scores.device)
            scores[usable] = result.scores
        return Aggregation(result.update, accepted, scores)

    @abc.abstractmethod
    def combine(self, updates: Tensor, weights: Tensor | None) -> Aggregation:
        """Do it: all rows are finite, ``f`` is settled, ``check`` has passed."""


def finite_rows(updates: Tensor) -> Tensor:
    """Return ``(n,)`` bool: which rows hold neither NaN nor infinity. Works in column blocks."""
    raise NotImplementedError


catalogue: Catalogue[Rule] = Catalogue("rule")
