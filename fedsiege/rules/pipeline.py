"""Pre-aggregators in front of a rule: ``nnm:f=3/bucketing:s=2/krum:f=3``."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from fedsiege import grammar
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.inputs import Inputs
from fedsiege.numerics.matrix import column_blocks
from fedsiege.registry import spell
from fedsiege.rules import pre as before
from fedsiege.rules.base import (
    ASSUMED_HOSTILE_SHARE,
    Aggregation,
    Rule,
    registry,
)
from fedsiege.rules.context import RoundContext
from fedsiege.rules.pre import Mixed, PreAggregator

#: Columns are mixed and aggregated a quarter at a time, or this many numbers if that is more.
_BLOCK = 2**20


@dataclass(frozen=True)
class Pipeline(Rule):
    """A rule that works on what pre-aggregators made of the updates, one after the other.

    All steps assume the same number of hostile participants: where a step does not set its f, it
    is that of the rule, else that of the first step that sets one, else ``floor(0.2 n)``, n being
    the participants and not the rows that a step is given.

    A rule that works by coordinate gets what the last step makes by and by, a quarter of the
    columns at a time. For other rules, and at every step before the last, a matrix is made:
    ``(n, d)``, or ``(n / s, d)`` after bucketing.
    Behind that no rule can work that remembers participants, or weighs by what they report.

    Args:
        pre: the pre-aggregators, in the order in which they work; at least one.
        rule: what aggregates the rows.
    """

    summary: ClassVar[str] = "a rule behind pre-aggregators"

    pre: tuple[PreAggregator, ...]
    rule: Rule

    def __post_init__(self) -> None:
        merging = [step.name for step in self.pre if not step.keeps_participants]
        if merging and self.rule.by_participant:
            allowed = f"{self.rule.name} remembers participants, and {merging[0]} merges them"
            raise InvalidValue("rule", self.spelled(), allowed)
        if merging and self.rule.uses_reports:
            allowed = (
                f"{self.rule.name} weighs by what participants report, and {merging[0]} merges them"
            )
            raise InvalidValue("rule", self.spelled(), allowed)

    @property
    def name(self) -> str:  # type: ignore[override]  # of the instance, not of the class
        """The names of all steps: ``nnm/krum``."""
        return grammar.SEPARATOR.join((*(step.name for step in self.pre), self.rule.name))

    @property
    def f(self) -> int | None:
        """The assumed number of hostile participants; None where no step sets it."""
        numbers = (getattr(step, "f", None) for step in (self.rule, *self.pre))
        return next((f for f in numbers if f is not None), None)

    @property
    def last(self) -> Rule:
        """The rule behind the pre-aggregators."""
        return self.rule

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]  # of the instance, as the name
        """What the steps and the rule need to know besides the updates."""
        return self.required()

    def required(self, state: object | None = None) -> tuple[str, ...]:
        """Return what the steps and the rule need to know; the state is the rule's."""
        steps = (need for step in self.pre for need in step.needs)
        return tuple(dict.fromkeys((*steps, *self.rule.required(state))))

    @property
    def root_samples(self) -> int:
        """How many clean samples of the aggregator's own the rule needs."""
        return self.rule.root_samples

    def spelled(self) -> str:
        """Write it as text that ``parse`` reads back."""
        return grammar.SEPARATOR.join(spell(step) for step in (*self.pre, self.rule))

    def for_participants(self, n: int) -> Self:
        """Return this with f resolved in all steps, and check that each can work with its rows."""
        f = int(ASSUMED_HOSTILE_SHARE * n) if self.f is None else self.f
        steps, rows = [], n
        for step in self.pre:
            steps.append(step.for_participants(rows, f))
            rows = step.rows_of(rows)
        rule = self.rule.assuming(f)
        try:
            return replace(self, pre=tuple(steps), rule=rule.for_participants(rows))
        except UnfitRound as error:
            if rows == n:
                raise
            raise UnfitRound(f"{self.name} makes {rows} rows of {n} updates: {error}") from error

    def lowered(self, by: int) -> Self:
        """Return this with the f and the m of all steps lowered, where they are set."""
        steps = tuple(step.lowered(by) for step in self.pre)
        return replace(self, pre=steps, rule=self.rule.lowered(by))

    def check(self, n: int) -> None:
        """Raise UnfitRound if a step cannot work with the rows it would be given."""
        self.for_participants(n)

    def check_inputs(self, inputs: Inputs) -> None:
        """Raise InvalidValue if the rule cannot work with models for such inputs."""
        self.rule.check_inputs(inputs)

    def remark(self, n: int) -> str:
        """Return what there is to know of the rule with the rows it is given."""
        for step in self.pre:
            n = step.rows_of(n)
        return self.rule.remark(n)

    def apply(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate; the state is the rule's."""
        made: list[Mixed] = []
        for step in self.pre:
            made.append(step.transform(made[-1].rows if made else updates, context))
            if not step.keeps_participants:
                context = replace(context, weights=None, steps=None, participants=None)
        if self.rule.by_coordinate and not made[-1].changes_nothing:
            result = self._by_columns(made[-1], context)
        else:
            result = self.rule.apply(made[-1].rows, context, state)
        for mixed in reversed(made):
            result = mixed.of_participants(result)
        return result

    def _by_columns(self, mixed: Mixed, context: RoundContext) -> Aggregation:
        m, d = len(mixed.members), mixed.updates.shape[1]
        update = torch.empty(d, device=mixed.updates.device)
        remarks: tuple[str, ...] = ()
        for columns in column_blocks(d, max(1, d // 4, _BLOCK // m)):
            result = self.rule.combine(mixed.columns(columns), context)
            update[columns], remarks = result.update, result.remarks  # those of all columns
        return Aggregation(update, torch.ones(m, dtype=torch.bool), remarks=remarks)

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate as in a first round."""
        return self.apply(updates, context, None)


def create(
    name: str,
    /,
    *,
    pre: str | PreAggregator | Iterable[str | PreAggregator] = (),
    **parameters: object,
) -> Rule:
    """Create a rule by name with keyword parameters.

    Args:
        name: of the rule.
        pre: pre-aggregators in front of it: one or several, as objects or as text: ``"nnm"``,
            ``["nnm:f=3", "bucketing"]``.
        parameters: of the rule.

    Raises:
        InvalidValue: unknown name, unknown parameter, or a value out of range.
    """
    rule = registry.create(name, **parameters)
    several = grammar.chain(pre) if isinstance(pre, str) else pre
    if isinstance(several, PreAggregator) or not isinstance(several, Iterable):
        several = [several]
    steps = tuple(_step(step) for step in several)
    return Pipeline(steps, rule) if steps else rule


def _step(step: object) -> PreAggregator:
    """Return a pre-aggregator that is given as one or as text."""
    if isinstance(step, PreAggregator):
        return step
    if isinstance(step, str):
        return before.parse(step)
    allowed = "pre-aggregators, or text as in pre='nnm' or pre=['nnm:f=3', 'arc']"
    raise InvalidValue("pre", step, allowed)


def parse(text: str, **defaults: object) -> Rule:
    """Create a rule from text: ``name``, ``name:key=value``, ``nnm:f=3/bucketing/krum``.

    Args:
        text: what the user wrote; the rule comes last.
        defaults: parameters of the rule, used where it has them and the text does not set them.

    Raises:
        InvalidValue: as ``create``; also text of another form.
    """
    *steps, last = grammar.chain(text)
    name, _ = grammar.component(last)
    if name in before.names():
        raise InvalidValue("rule", text, f"{name} comes in front of a rule, as in {name}/median")
    rule = registry.parse(last, **defaults)
    return Pipeline(tuple(before.parse(step) for step in steps), rule) if steps else rule


def without(rule: Rule, n: int, out: int) -> Rule:
    """Return the rule for the n participants left after an audit has quarantined some.

    The quarantined are taken for hostile, so the rule need not tolerate them once more. But they
    may be honest, and others may still be hostile: so each f is lowered, and each m with it, only
    as far as the rule needs to work at all, and by no more than the number quarantined.

    Args:
        rule: for all of them, ``n + out``.
        n: how many are left.
        out: how many are quarantined.

    Returns:
        The rule itself where it works, and also where nothing helps: its error says why.
    """
    for fewer in range(out + 1):
        lowered = rule.lowered(fewer)
        try:
            lowered.for_participants(n)
        except UnfitRound:
            continue
        return lowered
    return rule
