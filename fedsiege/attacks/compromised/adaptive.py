"""Attacks that try out the running aggregation rule before they send anything."""

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege import models, rules
from fedsiege.attacks.base import Broadcast, CompromisedAttack, Setting, registry
from fedsiege.attacks.compromised.rotation import rotates, turned
from fedsiege.attacks.compromised.sample import deviation, mean, same_row, usable_sample
from fedsiege.errors import UnfitRound
from fedsiege.registry import Spelling
from fedsiege.rules import RoundContext
from fedsiege.seeding import generator

#: The first step of the search, as in ByzFL.
FIRST_STEP = 10.0
#: Harms with a quotient between this and 1 are the same.
_SAME = 0.999
#: The golden section.
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class AdaptiveAttack(CompromisedAttack):
    """Base of attacks ``g = o + x p`` whose factor x harms most under the running rule.

    o is the origin and p the direction; all f participants send the same. The harm of x is the
    distance between what the rule makes of the benign updates and f times g, and the benign mean.
    ``maximise`` searches for it.

    A rule that commutes with rotations is tried in the space that the benign updates and the lines
    span, where a trial costs next to nothing: see ``rotation``.

    The rule is tried as it would work in a first round: its memory is the aggregator's. So are
    clean samples, what it draws at random, and the sample and step counts that participants report.
    It is tried with draws of the attacker's own. Rules that cannot do without the others are
    refused, weighted means among them.

    Raises:
        UnfitRound: (in a round) fewer than 2 usable benign updates, no rule is known, it needs what
            the attacker does not have, or it cannot work with the round.
    """

    tries_rule: ClassVar[bool] = True

    knowledge: Annotated[
        Literal["full"],
        Spelling("full: it takes the benign updates to try the rule that is running"),
        "what is known of benign updates: all of them, to try the running rule on",
    ] = "full"
    evals: Annotated[int, Ge(3), "how often the rule is tried in a round, in each direction"] = 20

    @abc.abstractmethod
    def directions(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each o with its p, ``(d,)`` float64, of the benign updates ``(m, d)``."""

    @property
    def least(self) -> int:
        """Two, so that an update can differ from their mean."""
        return 2

    def check(self, setting: Setting) -> None:
        """Raise UnfitRound if its sample will be too small, or the rule cannot be tried."""
        super().check(setting)
        if not setting.rule:
            return
        # Updates of zeros, of the smallest model: what a rule cannot do without shows with any.
        zeros = torch.zeros(models.size("net"))
        broadcast = Broadcast(1, zeros, None, "net", seed=0, rule=setting.rule)
        self._trial(broadcast)(zeros.expand(setting.benign + setting.hostile, -1))

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        rows = usable_sample(self, broadcast)
        trial = self._trial(broadcast)
        lines = self.directions(rows)
        tried, tried_lines = rows, lines
        if rotates(broadcast.rule) and len(rows) + 2 * len(lines) < rows.shape[1]:
            tried, ends = turned(rows, torch.stack([end for line in lines for end in line]))
            tried, tried_lines = tried.float(), list(zip(ends[::2], ends[1::2], strict=True))
        everyone = torch.cat((tried, tried.new_empty(len(broadcast.hostile), tried.shape[1])))
        center = mean(tried)

        def harm(origin: Tensor, direction: Tensor, factor: float) -> float:
            everyone[len(rows) :] = (origin + factor * direction).to(everyone)
            distance = float((trial(everyone).double() - center).norm())
            return math.inf if math.isnan(distance) else distance  # there is no more harm than NaN

        found = [maximise(partial(harm, *line), self.evals) for line in tried_lines]
        best = max(range(len(lines)), key=lambda line: found[line][1])
        (origin, direction), (factor, _) = lines[best], found[best]
        return same_row(origin + factor * direction, len(participants))

    def _trial(self, broadcast: Broadcast) -> Callable[[Tensor], Tensor]:
        """Return what the rule that is running would make of ``(n, d)`` updates."""
        if not broadcast.rule:
            raise UnfitRound(f"{self.name} needs to know which rule is running")
        rule = rules.parse(broadcast.rule)
        if rule.root_samples:
            raise UnfitRound(
                f"{self.name} cannot try {rule.name}: it works with samples of the aggregator's own"
            )
        context = RoundContext(
            round_number=broadcast.round_number,
            model=broadcast.model,
            layout=models.layout(broadcast.architecture),
            architecture=broadcast.architecture,
            # Of its own: only the aggregator knows what it draws, coordinates or buckets.
            seed=int(generator(broadcast.seed, "adaptive trial").integers(2**63)),
        )

        def trial(updates: Tensor) -> Tensor:
            try:
                return rule(updates, context=context).update
            except UnfitRound as error:
                raise UnfitRound(f"{self.name} cannot try the running rule: {error}") from error

        return trial


def maximise(harm: Callable[[float], float], evals: int) -> tuple[float, float]:
    """Return the factor, 0 or more, with the largest harm that was found, and that harm.

    From 0 it goes on in steps of 10, 20, 40, .. as long as harm grows, and then narrows down the
    last two steps by golden section. (ByzFL expands in the same way, but then looks at larger
    factors only: what lies below its best is never found.) Many rules saturate: of factors with
    harms that are the same to a thousandth the smallest is taken, which shows least.

    Args:
        harm: of a factor, 0 or more.
        evals: how often it may be called, 3 or more.
    """
    tried: dict[float, float] = {}

    def at(factor: float) -> float:
        tried[factor] = harm(factor)
        return tried[factor]

    low, best, step = 0.0, 0.0, FIRST_STEP
    at(best)
    while len(tried) < evals and at(best + step) * _SAME > tried[best]:
        low, best, step = best, best + step, 2 * step
    high = best + step
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    while len(tried) < evals and low < left < right < high:  # until nothing lies between
        if left not in tried:
            at(left)
        elif right not in tried:
            at(right)
        elif tried[right] * _SAME > tried[left]:
            low, left = left, right
            right = low + _GOLDEN * (high - low)
        else:
            high, right = right, left
            left = high - _GOLDEN * (high - low)
    enough = _SAME * max(tried.values())
    factor = min(factor for factor, found in tried.items() if found >= enough)
    return factor, tried[factor]


@registry.register
@dataclass(frozen=True)
class AdaptiveAlie(AdaptiveAttack):
    r"""Send the update of ``alie`` with the shift that harms most under the running rule.

    The attackers hold data, and know the benign updates and the rule with its parameters (full
    knowledge). They aim at the largest damage that this rule lets through. All of them send the
    same:

    .. math::

        g = \mu - z \sigma, \qquad
        z = \operatorname{arg\,max}_z \bigl\lVert
            R(g_1, \ldots, g_m, \underbrace{g, \ldots, g}_{f}) - \mu \bigr\rVert

    :math:`\mu` and :math:`\sigma` are mean and standard deviation of each coordinate of the benign
    updates :math:`g_1, \ldots, g_m`, :math:`\sigma` dividing by :math:`m - 1`; :math:`R` is the
    rule, and :math:`f` the number of hostile participants. :math:`z` has either sign. It is
    searched from 0 in both directions, in steps of 10, 20, 40 and so on as long as the distance
    grows, and then narrowed down by golden section, with ``evals`` trials in each direction. Of
    shifts that do the same harm to a thousandth the smallest is taken, which shows least.

    The rule is tried as it would work in a first round: the aggregator alone has its memory, its
    clean samples, what it draws at random, and the sample and step counts that participants report.
    It is tried with draws of the attacker's own. Rules that cannot do without the others are
    refused, weighted means among them.

    Raises:
        UnfitRound: (in a round) fewer than 2 usable benign updates, no rule is known, it needs what
            the attacker does not have, or it cannot work with the round.

    Source:
        Youssef Allouah, Sadegh Farhadkhani, Rachid Guerraoui, Nirupam Gupta, Rafaël Pinot and John
        Stephan, `Fixing by Mixing: A Recipe for Optimal Byzantine ML under Heterogeneity
        <https://arxiv.org/abs/2302.01772>`_, AISTATS 2023, section 6. It is the "optimal" ALIE of
        ByzFL, Marc González et al., `ByzFL: Research Framework for Robust Federated Learning
        <https://arxiv.org/abs/2505.24802>`_, arXiv 2025, which only shifts upwards.
    """

    name: ClassVar[str] = "adaptive-alie"
    summary: ClassVar[str] = "alie with the shift that harms most under the running rule"

    def directions(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return two: from the mean downwards and upwards."""
        center, sigma = mean(rows), deviation(rows)
        return [(center, -sigma), (center, sigma)]


@registry.register
@dataclass(frozen=True)
class AdaptiveIpm(AdaptiveAttack):
    r"""Send the update of ``ipm`` with the factor that harms most under the running rule.

    The attackers hold data, and know the benign updates and the rule with its parameters (full
    knowledge). They aim at the largest damage that this rule lets through. All of them send the
    same:

    .. math::

        g = -\text{eps} \cdot \mu, \qquad
        \text{eps} = \operatorname{arg\,max}_{\text{eps} \ge 0} \bigl\lVert
            R(g_1, \ldots, g_m, \underbrace{g, \ldots, g}_{f}) - \mu \bigr\rVert

    :math:`\mu` is the mean of the benign updates :math:`g_1, \ldots, g_m`, :math:`R` the rule, and
    :math:`f` the number of hostile participants. The factor is searched from 0 in steps of 10, 20,
    40 and so on as long as the distance grows, and then narrowed down by golden section, with
    ``evals`` trials. Of factors that do the same harm to a thousandth the smallest is taken, which
    shows least.

    The rule is tried as it would work in a first round: the aggregator alone has its memory, its
    clean samples, what it draws at random, and the sample and step counts that participants report.
    It is tried with draws of the attacker's own. Rules that cannot do without the others are
    refused, weighted means among them.

    Raises:
        UnfitRound: (in a round) fewer than 2 usable benign updates, no rule is known, it needs what
            the attacker does not have, or it cannot work with the round.

    Source:
        Youssef Allouah, Sadegh Farhadkhani, Rachid Guerraoui, Nirupam Gupta, Rafaël Pinot and John
        Stephan, `Fixing by Mixing: A Recipe for Optimal Byzantine ML under Heterogeneity
        <https://arxiv.org/abs/2302.01772>`_, AISTATS 2023, section 6. It is the "optimal" IPM of
        ByzFL, Marc González et al., `ByzFL: Research Framework for Robust Federated Learning
        <https://arxiv.org/abs/2505.24802>`_, arXiv 2025.
    """

    name: ClassVar[str] = "adaptive-ipm"
    summary: ClassVar[str] = "ipm with the factor that harms most under the running rule"

    def directions(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return one: from zeros against the mean."""
        return [(torch.zeros(rows.shape[1], dtype=torch.float64), -mean(rows))]
