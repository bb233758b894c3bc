"""What a pre-aggregator is.

It turns the updates of a round into other rows that stand for the same participants and that a rule
then aggregates: mixed with neighbours, averaged in buckets, clipped. It is a frozen dataclass of
its parameters; it does not change its input.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Self, cast

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege.numerics.matrix import empty_matrix
from fedsiege.registry import Component, Registry
from fedsiege.rules.base import Aggregation, lowered
from fedsiege.rules.context import RoundContext


@dataclass(frozen=True)
class Mixed(abc.ABC):
    """What a pre-aggregator makes of n updates: m rows, the same of each column.

    They are made when they are asked for, all or some columns of them, and until then the updates
    must stay as they are.

    Attributes:
        updates: ``(n, d)`` floating point, finite in float32.
        members: ``(m, n)`` bool on the CPU, which updates have weight in each row.
        place: ``(n,)`` int64 on the CPU, the row that stands for each participant.
    """

    updates: Tensor
    members: Tensor
    place: Tensor

    @cached_property
    def rows(self) -> Tensor:
        """``(m, d)`` float32 on the device of the updates, finite; it may be the updates."""
        if self.changes_nothing:
            return self.updates
        rows = empty_matrix(len(self.members), self.updates.shape[1], self.updates.device)
        self.write(self.updates, rows)
        return rows

    def columns(self, columns: slice) -> Tensor:
        """Return those columns of the rows, without the others."""
        updates = self.updates[:, columns]
        if self.changes_nothing:
            return updates
        rows = torch.empty(len(self.members), updates.shape[1], device=updates.device)
        self.write(updates, rows)
        return rows

    @property
    def changes_nothing(self) -> bool:
        """Whether the rows are the updates."""
        return False

    @abc.abstractmethod
    def write(self, updates: Tensor, rows: Tensor) -> None:
        """Make the rows of some columns of the updates, ``(n, w)``, and write them, ``(m, w)``."""

    def of_participants(self, result: Aggregation) -> Aggregation:
        """Return a rule's result for m rows as a result for the n participants.

        A participant counts as accepted if its update has weight in an accepted row. Its score is
        that of the row that stands for it.
        """
        accepted = torch.from_numpy(self.members.numpy()[result.accepted.numpy()].any(axis=0))
        scores = None if result.scores is None else result.scores[self.place]
        return replace(result, accepted=accepted, scores=scores)


@dataclass(frozen=True)
class PreAggregator(Component, abc.ABC):
    """Base of all pre-aggregators.

    Attributes:
        keeps_participants: whether there is still one row for each participant, in their order.
    """

    keeps_participants: ClassVar[bool] = True
    #: What it needs to know besides the updates, see ``Rule``.
    needs: ClassVar[tuple[str, ...]] = ()

    def rows_of(self, n: int) -> int:
        """Return how many rows it makes of n updates."""
        return n

    def for_participants(self, n: int, f: int) -> Self:
        """Return this with its parameters resolved for n updates, and check that it can work.

        Args:
            n: how many updates there are.
            f: the assumed number of hostile participants, where none is set.

        Raises:
            UnfitRound: it cannot work with n updates.
        """
        return self

    def lowered(self, by: int) -> Self:
        """Return this with its f lowered, where it is set; see ``Rule.lowered``."""
        return cast(Self, lowered(self, by))

    @abc.abstractmethod
    def transform(self, updates: Tensor, context: RoundContext) -> Mixed:
        """Transform the updates.

        Args:
            updates: ``(n, d)`` floating point, finite in float32; this is resolved for n.
            context: what else is known of the round.
        """


@dataclass(frozen=True)
class TolerantPreAggregator(PreAggregator):
    """Base of the pre-aggregators that tolerate a given number of hostile participants."""

    f: Annotated[
        int | None, Ge(0), "assumed number of hostile participants; None for the f of the rule"
    ] = None

    def for_participants(self, n: int, f: int) -> Self:
        """Return this with ``f`` resolved, and check that it can work; arguments as above."""
        resolved = replace(self, f=f if self.f is None else self.f)
        resolved.check(n)
        return resolved

    @property
    def tolerated(self) -> int:
        """Return f, which ``for_participants`` has resolved."""
        assert self.f is not None
        return self.f

    @abc.abstractmethod
    def check(self, n: int) -> None:
        """Raise UnfitRound if it cannot work with n updates."""


@dataclass(frozen=True)
class Scaled(Mixed):
    """Each update times a factor.

    Attributes:
        factors: ``(n, 1)`` float32 on the device of the updates, 0 to 1.
        tiny: the factors above 0 that float32 cannot hold with all digits, by row.
    """

    factors: Tensor
    tiny: Mapping[int, float]

    @classmethod
    def to(cls, updates: Tensor, norms: Tensor, bound: float) -> Self:
        """Clip updates to a norm.

        Args:
            updates: ``(n, d)``.
            norms: ``(n,)`` float64 on the CPU.
            bound: 0 or more.
        """
        n = len(updates)
        factors = torch.where(norms > bound, bound / norms, 1.0)  # 0 / 0 is in the other branch
        tiny = (factors > 0) & (factors < torch.finfo(torch.float32).tiny)
        return cls(
            updates=updates,
            members=torch.from_numpy(np.eye(n, dtype=np.bool_)),
            place=torch.arange(n),
            factors=factors.to(updates.device, torch.float32)[:, None],
            tiny={i: float(factors[i]) for i in tiny.nonzero().flatten().tolist()},
        )

    @property
    def changes_nothing(self) -> bool:
        """Whether no factor is below 1."""
        return not bool((self.factors != 1).any())

    def write(self, updates: Tensor, rows: Tensor) -> None:
        """Multiply."""
        torch.mul(updates.float(), self.factors, out=rows)
        for i, factor in self.tiny.items():
            rows[i] = (updates[i].double() * factor).float()


registry: Registry[PreAggregator] = Registry("pre-aggregator", PreAggregator, "fedsiege.pre")
