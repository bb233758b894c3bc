"""Sentinel, the rule: its steps in order."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege import seeding
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.numerics.means import median_of, weighted_mean
from fedsiege.numerics.norms import row_norms
from fedsiege.rules import memory
from fedsiege.rules.base import (
    Aggregation,
    StatefulRule,
    keep_model,
    registry,
)
from fedsiege.rules.context import RoundContext
from fedsiege.rules.sentinel.invariants import hard_flags, hard_tests
from fedsiege.rules.sentinel.judgement import judge
from fedsiege.rules.sentinel.layers import layers_of
from fedsiege.rules.sentinel.products import gather
from fedsiege.rules.sentinel.state import Attendance, SentinelState
from fedsiege.rules.state import own

#: The steps that can be left out, for ablations.
STEPS = (
    *("class-sum", "dead-set", "spectrum", "coherence", "profile", "duplicate", "norm"),
    *("energy", "faction", "camps", "similarity", "present", "crowding", "momentum", "direction"),
    *("clipping", "pace", "vote-guard", "reputation", "memory"),
)
#: Fewer updates tell nothing about each other.
FEWEST = 3
#: An update with a value beyond this is rejected: squares must have room in float32.
LARGEST = 1e15
#: An update shorter than this abstains: it does not move the model.
SHORTEST = 1e-15
#: How much of the past there is in a momentum.
DECAY = 0.8
#: Updates are clipped to so many median lengths. At 1, honest participants whose class the model is
#: yet to learn are held back where each has one class; the more, the more adaptive fakes may do.
CLIP = 1.25
#: By what factor the length that counts as usual may grow from round to round. Where training takes
#: off it doubles at most, give or take a tenth; where fakes have their way for a round, the next
#: would otherwise be measured by them.
PACE = 2.0
#: Whose reputation is worse has no weight.
WORST_REPUTATION = 0.5


@registry.register
@dataclass(frozen=True)
class Sentinel(StatefulRule):
    """Rejects what no training makes, and bounds what a hidden minority that pulls one way can do.

    Made against fake clients; it is not told how many there are, and has no clean data. ``u_i`` is
    the update over its length, ``M_i`` the unit vector along its moving average
    ``E_i <- 0.8 E_i + 0.2 u_i``. The *pool* is everyone present, and everyone who is away for 10
    rounds at most and had weight before, with M for u.

    0. Updates with a value beyond 1e15 are rejected, those of zeros abstain.
    1. *Hard tests* (``invariants.py``): the sum over the classes in the last layer, coordinates
       that nobody can move, spectrum, coherence and proportions of the layers, duplicates, length.
    2. *Energy* (``energy.py``; among 20 or more not flagged): who is alone with its direction.
    3. *Faction* (``faction.py``): a minority that pulls one way of its own.
    4. *Consensus* (``consensus.py``): the geometric median c of the M not flagged, or of the larger
       of two camps (``camps.py``). If more than 55 % of them support it,
       ``r_i = unit(M_i - (M_i . c) c)``, else ``r_i = M_i``; and ``p_i`` of u in the same way.
    5. *Similarity* (``similarity.py``): weights
       ``a_i = 1 / max(1, sum_j max(0, r_i . r_j, p_i . p_j)^1.5)^1.2``.
    6. *Direction* (``direction.py``; in a pool of 8 or more): who points away from c or, without
       it, from the weighted centre.
    7. *Vote guard* (``judgement.py``): where energy or direction would leave half of those they
       judge or fewer, they flag nobody, and there is no c.
    8. *Reputation*: ``R <- 0.8 R + 0.2 [hard flag]``; no weight while flagged or while ``R > 0.5``.
    9. The rest are clipped to 1.25 times the median length, theirs and of the last updates of those
       away in the pool, which counts as no more than twice that of the round before:
       ``sum a_i clip(g_i) / sum a_i``.

    Detection catches what is crude, and the weights bound what is not: k momenta of one direction
    weigh together less than a single one does. Clipping alone cannot, since what honest
    participants with different classes want cancels for the most part. Honest participants must not
    be duplicates: each needs a batch order of its own.

    If fewer than 3 updates move anything, or nobody is left, the model is kept: an update of zeros,
    nobody accepted. Above half fakes no rule helps.

    It takes two Gram matrices, and ``4 d`` bytes for each identity remembered.

    Ours. Every threshold was found by experiment, with 50 participants on MNIST.

    Args:
        remember: how many identities are remembered, 1 or more; see ``memory.absent``.
        without: steps to leave out, for ablations, joined by ``+``: ``similarity+momentum``.

    Raises:
        InvalidValue: remember is out of its range, or there is no such step.
    """

    name: ClassVar[str] = "sentinel"
    summary: ClassVar[str] = "rejects what no training makes, bounds whoever pulls one way"
    accuses: ClassVar[bool] = True

    remember: Annotated[
        int,
        Ge(1),
        "number of participants remembered; those absent longest are forgotten first",
    ] = memory.REMEMBERED
    without: Annotated[
        str | None, "steps to leave out, joined by +, to see what each is good for"
    ] = None

    def check_together(self) -> None:
        """Raise InvalidValue where ``without`` names a step that there is not."""
        if not self._left_out <= set(STEPS):
            allowed = f"one or more of {', '.join(STEPS)}, joined by +"
            raise InvalidValue(f"{self.name}:without", self.without, allowed)

    @property
    def _left_out(self) -> frozenset[str]:
        return frozenset(() if self.without is None else self.without.split("+"))

    def check(self, n: int) -> None:
        """Raise UnfitRound for fewer than 3 updates."""
        if n < FEWEST:
            raise UnfitRound(f"{self.name} needs {FEWEST} updates, there are {n}")

    def advance(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate; it needs the layout.

        The scores are suspicions: ``(1 - a_i + R_i) / 2`` for those with weight, which is below
        0.75, and 1 more for those flagged; 0 for those that abstain, 2 for those rejected.

        Raises:
            InvalidValue: the state is not this rule's, or one of models of another size.
        """
        context.require(self.name, "layout")
        n, d = updates.shape
        layers = layers_of(context.layout, d)
        before = _before(state, d) or SentinelState.empty(updates)
        norms = row_norms(updates)
        rejected = ((updates.amax(dim=1) > LARGEST) | (updates.amin(dim=1) < -LARGEST)).cpu()
        active = (norms > SHORTEST) & ~rejected
        scores = 2 * rejected.double()
        if int(active.sum()) < FEWEST:
            return keep_model(updates, scores, replace(before, rounds=before.rounds + 1))

        rows = updates if active.all() else updates[active.to(updates.device)]
        norms, m = norms[active], len(rows)
        attendance = Attendance.of(before, context.identities(n)[active], self.remember)
        if "memory" in self._left_out:
            attendance = replace(attendance, voting=torch.zeros_like(attendance.voting))
        decay = 0.0 if "momentum" in self._left_out else DECAY
        pool = gather(rows, norms, before, attendance, decay)
        away = attendance.lengths(before)
        failed = hard_tests(rows, norms, layers, pool.updates[:m, :m], away, self._left_out)
        hard = hard_flags(failed, m)
        flagged = torch.zeros(len(pool.members), dtype=torch.bool)
        flagged[:m] = hard
        suspects = attendance.suspects(before)
        order = _order(attendance, context)
        judgement = judge(pool, flagged, suspects, order, self._left_out)

        reputations = attendance.reputations(before, hard)
        unwanted = (flagged | judgement.energy | judgement.faction | judgement.direction)[:m]
        if "reputation" not in self._left_out:
            unwanted |= reputations > WORST_REPUTATION
        lengths = torch.cat([norms[~unwanted], away])
        usual = before.usual if unwanted.all() else _usual(lengths, before, self._left_out)
        after = attendance.remembering(before, pool.averages, norms, reputations, unwanted, usual)
        weights = judgement.weights[:m]
        scores[active] = unwanted + (1 - weights + reputations) / 2
        if unwanted.all():
            return keep_model(updates, scores, after)
        weights = weights * ~unwanted
        factors = weights
        if "clipping" not in self._left_out:
            factors = weights * (CLIP * usual / norms).clamp(max=1)
        accepted = torch.zeros(n, dtype=torch.bool)
        accepted[active] = ~unwanted
        return Aggregation(weighted_mean(rows, factors, weights), accepted, scores, after)


def _before(state: object | None, d: int) -> SentinelState | None:
    """Return the memory of the rounds before, None in the first."""
    each = {"lengths": ("k",), "reputations": ("k",), "flagged": ("k",)}
    shapes = {**memory.SHAPES, "momenta": ("k", d), **each}
    return own(Sentinel.name, state, SentinelState, ["momenta", "lengths"], **shapes)


def _usual(lengths: Tensor, before: SentinelState, without: Collection[str]) -> float:
    """Return the median length, which may not have grown too fast."""
    median = float(median_of(lengths))
    if before.usual > 0 and "pace" not in without:
        return min(median, PACE * before.usual)
    return median


def _order(attendance: Attendance, context: RoundContext) -> Tensor:
    """Return the order of the pool in which peers are asked: by lot among identities."""
    ascending = attendance.pool.argsort()
    random = seeding.generator(context.seed, "sentinel peers", attendance.turnout.rounds)
    return ascending[torch.from_numpy(random.permutation(len(ascending)))]
