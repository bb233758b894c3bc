"""What an aggregation rule is.

A rule turns the updates of a round, one row each, into the one update that the global model takes:
``w_{t+1} = w_t + Agg(g_1 .. g_n)``. It is a frozen dataclass of its parameters and a function of
the rows; it does not change its input. The order of the rows decides nothing but ties, as between
the two nearest of three rows under Krum, where the first row wins; and the last bits of a sum.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Generic, Self, cast, overload

import numpy.typing as npt
import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.inputs import Inputs
from fedsiege.numerics.threads import row_blocks, share
from fedsiege.privacy.gaussian import Release
from fedsiege.registry import Component, Registry
from fedsiege.rules.context import Counts, RoundContext, received
from fedsiege.rules.updates import Kind, U, Updates

#: Share of hostile participants a rule assumes where it is told no other number.
ASSUMED_HOSTILE_SHARE = 0.2
#: Numbers that are summed at a time to find out whether all are finite.
_SUMMED = 2**22


@dataclass(frozen=True)
class Aggregation(Generic[U]):
    """What a rule made of a round.

    Attributes:
        update: what the global model takes: of the kind that the update of a participant has, with
            the same shapes, types and devices. Of a matrix ``(n, d)`` it is a vector ``(d,)``.
        accepted: ``(n,)`` bool on the CPU, the rows that had weight.
        scores: ``(n,)`` float64 on the CPU, the rule's score of each row, NaN for rows that were
            left out; None for rules that give none.
        state: what a rule with a memory must be passed in the next round; None for others.
        remarks: what people should know of this round, a sentence each: above all which reported
            counts were not taken as they were.
    """

    update: U
    accepted: Tensor
    scores: Tensor | None = None
    state: object | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule(Component, abc.ABC):
    """Base of all rules."""

    #: Whether a high score speaks for a participant; of most rules it speaks against.
    trusting: ClassVar[bool] = False
    #: Whether a row without weight is one that the rule found suspect, so that there need be none.
    #: Most rules leave no row out, or a number that follows from f or another share, however honest
    #: all are: they select, and accuse no participant.
    accuses: ClassVar[bool] = False
    #: Whether a coordinate of the update depends on nothing but that coordinate of the rows, and
    #: there are no scores of single rows. Then some columns can be aggregated at a time.
    by_coordinate: ClassVar[bool] = False
    #: Whether it remembers something about each participant. Such a rule cannot stand behind
    #: bucketing, whose rows are of no participant.
    by_participant: ClassVar[bool] = False
    #: What it needs to know of the round besides the updates: names of fields of RoundContext.
    needs: ClassVar[tuple[str, ...]] = ()
    #: What it needs besides where a parameter is true, by the name of that parameter.
    needs_if: ClassVar[Mapping[str, str]] = {}

    def required(self, state: object | None = None) -> tuple[str, ...]:
        """Return what it needs to know with these parameters, and with a state; see ``needs``."""
        return (*self.needs, *(need for key, need in self.needs_if.items() if getattr(self, key)))

    @property
    def last(self) -> "Rule":
        """The rule that aggregates the rows: itself, or the end of a pipeline."""
        return self

    @property
    def uses_reports(self) -> bool:
        """Whether it weighs updates by the sample or step counts that participants report."""
        return False

    @property
    def judges_after(self) -> int:
        """After how many predicted rounds it judges a participant; 0 if at once.

        A round is predicted if the participant took part within that many rounds before it.
        """
        return 0

    @property
    def streams(self) -> bool:
        """Whether updates can be taken one by one, without the matrix: see StreamingRule."""
        return False

    @property
    def root_samples(self) -> int:
        """How many clean samples the aggregator has to hand in as the context's root."""
        return 0

    @property
    def release(self) -> Release | None:
        """What its aggregate gives away of one participant; None where it promises nothing."""
        return None

    def assuming(self, f: int) -> Self:
        """Return this rule with f hostile participants, where it must assume some and sets none."""
        return self

    def lowered(self, by: int) -> Self:
        """Return this rule with its f and its m lowered, where they are set, to no less than works.

        Args:
            by: how many hostile participants are known to be left out already.
        """
        return cast(Self, lowered(self, by))

    def for_participants(self, n: int) -> Self:
        """Return this rule with its parameters resolved for n updates, and check that it can work.

        Raises:
            UnfitRound: the rule cannot work with n updates.
        """
        self.check(n)
        return self

    def check(self, n: int) -> None:
        """Raise UnfitRound if this rule cannot work with n updates."""

    def check_inputs(self, inputs: Inputs) -> None:
        """Raise InvalidValue if this rule cannot work with models for such inputs."""

    def remark(self, n: int) -> str:
        """Return a remark for users of this rule with n updates; mostly empty."""
        return ""

    @overload
    def __call__(
        self,
        updates: Tensor,
        weights: Counts | None = None,
        *,
        context: RoundContext | None = None,
        state: object | None = None,
    ) -> Aggregation: ...

    @overload
    def __call__(
        self,
        updates: npt.NDArray[Any],
        weights: Counts | None = None,
        *,
        context: RoundContext | None = None,
        state: object | None = None,
    ) -> Aggregation[npt.NDArray[Any]]: ...

    @overload
    def __call__(
        self,
        updates: Sequence[Kind],
        weights: Counts | None = None,
        *,
        context: RoundContext | None = None,
        state: object | None = None,
    ) -> Aggregation[Kind]: ...

    def __call__(
        self,
        updates: Updates,
        weights: Counts | None = None,
        *,
        context: RoundContext | None = None,
        state: object | None = None,
    ) -> Aggregation[Any]:
        """Aggregate.

        Args:
            updates: one update per participant, in the order of their indices: a tensor or numpy
                array ``(n, d)`` of any floating point type, or a sequence of vectors, of lists of
                layers, or of state dicts; see ``updates``. An update is a difference: trained
                weights minus the weights of the global model (``deltas`` makes it). The rules work
                in float32. Updates with a NaN or an infinity, or beyond float32, are left out as if
                they had not come. (Only then a matrix is copied, without them.)
            weights: ``(n,)`` whole numbers, the sample counts the participants report, or None; the
                same as ``context.weights``.
            context: what else is known of the round.
            state: for rules with a memory, the ``state`` of the round before; None in the first.

        Returns:
            The aggregation; its ``update`` is of the kind of the updates given.

        Raises:
            InvalidValue: the state is not this rule's.
            UnfitRound: updates of a kind that is not taken, or none that is usable; or the rule
                cannot work with that many, or without something that the context does not tell.
        """
        matrix, known, form = received(updates, context or RoundContext(), weights)
        if len(matrix) == 0:
            raise UnfitRound("there are no updates")
        known.require(self.name, *self.required(state))
        result = self._of_matrix(matrix, known, state)
        return replace(result, update=form.like(result.update))

    def _of_matrix(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> Aggregation:
        """Aggregate a matrix, of which rows may be unusable."""
        at_once = self.at_once(updates, context)
        if at_once is not None:
            return at_once
        usable = finite_rows(updates).cpu()
        count = int(usable.sum())
        if count == 0:
            raise UnfitRound(f"none of the {updates.shape[0]} updates is usable")
        rule = self.for_participants(count)
        if count == updates.shape[0]:
            return rule.apply(updates, context, state)
        kept = updates[usable.to(updates.device)]
        result = rule.apply(kept, context.of_rows(usable), state)
        accepted = torch.zeros_like(usable)
        accepted[usable] = result.accepted
        scores = None
        if result.scores is not None:
            scores = torch.full(usable.shape, torch.nan, dtype=torch.float64)
            scores[usable] = result.scores
        return replace(result, accepted=accepted, scores=scores)

    def at_once(self, updates: Tensor, context: RoundContext) -> Aggregation | None:
        """Aggregate in one pass over rows that may not be finite; return None where that fails.

        For rules that find out while they work: the pass over the matrix that looks for a NaN or an
        infinity would be a large part of their time.
        """
        return None

    def apply(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate checked updates, with the state where there is one."""
        return self.combine(updates, context)

    @abc.abstractmethod
    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate finite rows, for which the rule is resolved and ``check`` has passed."""


@dataclass(frozen=True)
class StatefulRule(Rule):
    """Base of the rules that remember something from round to round.

    What they remember is one frozen dataclass of tensors and numbers, passed in and returned;
    ``fedsiege.rules.state`` turns it into bytes and back.
    """

    by_participant: ClassVar[bool] = True

    def apply(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate from where the last round ended."""
        return self.advance(updates, context, state)

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate as in a first round."""
        return self.advance(updates, context, None)

    @abc.abstractmethod
    def advance(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate, and return what to remember as ``Aggregation.state``."""


@dataclass(frozen=True)
class TolerantRule(Rule):
    """Base of the rules that tolerate a given number of hostile participants."""

    #: Whether this is the plain mean where f is 0.
    mean_without_hostile: ClassVar[bool] = False

    f: Annotated[
        int | None,
        Ge(0),
        "assumed number of hostile participants; None for a fifth of them, rounded down",
    ] = None

    def assuming(self, f: int) -> Self:
        """Return this rule with that f, unless it sets its own."""
        return replace(self, f=f) if self.f is None else self

    def tolerated(self, n: int) -> int:
        """Return f as it holds among n participants."""
        return int(ASSUMED_HOSTILE_SHARE * n) if self.f is None else self.f

    def remark(self, n: int) -> str:
        """Return a remark where this is the plain mean, which is no defence."""
        plain = self.mean_without_hostile and self.tolerated(n) == 0
        return f"{self.name} with f=0 is the plain mean, which is no defence" if plain else ""

    def for_participants(self, n: int) -> Self:
        """Return this rule with ``f`` resolved for n participants, and check that it can work."""
        resolved = replace(self, f=self.tolerated(n))
        resolved.check(n)
        return resolved


@dataclass(frozen=True)
class MinorityRule(TolerantRule):
    """Base of the tolerant rules that work as long as more than half are honest: ``2 f < n``."""

    mean_without_hostile: ClassVar[bool] = True

    def check(self, n: int) -> None:
        """Raise UnfitRound unless more than 2 f updates are there."""
        f = self.tolerated(n)
        if n <= 2 * f:
            raise UnfitRound(
                f"{self.name} with f={f} needs more than 2f = {2 * f} updates, there are {n}"
            )


def lowered(step: Any, by: int) -> Any:  # a rule or a pre-aggregator, and the same
    """Return a component with its parameters f and m lowered, where it has them set."""
    found = {
        name: max(least, number - by)
        for name, least in (("f", 0), ("m", 1))
        if (number := getattr(step, name, None)) is not None
    }
    return replace(step, **found) if by else step


def finite_rows(updates: Tensor) -> Tensor:
    """Return ``(n,)`` bool: which rows hold only values that are finite in float32."""
    # One pass where all is well: a NaN or an infinity anywhere shows in the sum of its row.
    if updates.dtype == torch.float32 and _row_sums(updates).isfinite().all():
        return torch.ones(len(updates), dtype=torch.bool)
    limit = torch.finfo(torch.float32).max
    # NaN passes through amax and amin and then fails both comparisons; neither makes a copy. They
    # are compared in float64: in half precision the limit itself would be rounded to infinity.
    highest, lowest = updates.amax(dim=1).double(), updates.amin(dim=1).double()
    return (highest <= limit) & (lowest >= -limit)


def _row_sums(updates: Tensor) -> Tensor:
    """Return ``(n,)`` float32, the sum of each row.

    Not by torch's own threads: for some milliseconds afterwards they wait for more work so eagerly
    that the threads of the rule itself would find the processor taken.
    """
    if updates.device.type != "cpu":
        return updates.sum(dim=1)
    sums = torch.empty(len(updates))

    def add_up(blocks: Iterator[slice]) -> None:
        for rows in blocks:
            torch.sum(updates[rows], dim=1, out=sums[rows])

    share(add_up, row_blocks(updates, _SUMMED))
    return sums


registry: Registry[Rule] = Registry("rule", Rule, "fedsiege.rules")


def keep_model(
    updates: Tensor, scores: Tensor | None = None, state: object | None = None
) -> Aggregation:
    """Return an update of zeros that accepts no row, for rules that trust none.

    The alternative in published code, the mean of all rows, hands the model to the attacker.
    """
    n, d = updates.shape
    zeros = torch.zeros(d, device=updates.device)
    return Aggregation(zeros, torch.zeros(n, dtype=torch.bool), scores, state)


def samples_cut(rule: str, counts: Sequence[int], bound: int, most: int | None = None) -> list[str]:
    """Return a remark if participants report more samples than are believed; else nothing.

    Args:
        rule: its name; its parameter is ``bound``.
        counts: the sample counts reported.
        bound: the largest that is believed.
        most: the largest that ``bound`` can be; None if there is none.
    """
    cut = [count for count in counts if count > bound]
    if not cut:
        return []
    limit = "" if most is None else f", {most} at most"
    return [
        f"{rule} counts {bound} samples for {len(cut)} of {len(counts)} participants that report "
        f"more, {max(cut)} at most; {rule}:bound=N changes that{limit}"
    ]
