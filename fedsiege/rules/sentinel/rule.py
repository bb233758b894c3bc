"""Sentinel, the rule: its steps in order, from the updates to the new model."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege import seeding
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import median_of, weighted_mean
from fedsiege.rules import memory
from fedsiege.rules.base import (
    Aggregation,
    StatefulRule,
    keep_model,
    registry,
)
from fedsiege.rules.context import RoundContext
from fedsiege.rules.sentinel.clusters import minority_cluster
from fedsiege.rules.sentinel.directions import (
    against_centre,
    against_consensus,
    energies,
    energy_flags,
    find_consensus,
    residuals,
    similarity_weights,
)
from fedsiege.rules.sentinel.hard_tests import hard_flags, hard_tests
from fedsiege.rules.sentinel.layers import layers_of
from fedsiege.rules.sentinel.pool import Pool, build_pool
from fedsiege.rules.sentinel.state import Attendance, SentinelState
from fedsiege.rules.state import own

#: The steps that can be left out, for ablations. Recorded specifications hold these names.
STEPS = (
    # hard_tests.py
    *("class-sum", "dead-set", "spectrum", "coherence", "profile", "duplicate", "norm"),
    # directions: energy; minority cluster; larger of two clusters in the consensus; weights by
    # similarity, of this round's updates, too, with steep exponents; moving averages; direction
    *("energy", "faction", "camps", "similarity", "present", "crowding", "momentum", "direction"),
    # length: clipping, and its limit of growth; then half of the updates keep their weight,
    # reputation, and absent participants in the pool
    *("clipping", "pace", "vote-guard", "reputation", "memory"),
)
#: The fewest updates that can be compared with each other.
FEWEST = 3
#: An update with a larger value is rejected: its square must fit float32.
LARGEST = 1e15
#: A shorter update abstains: it does not move the model.
SHORTEST = 1e-15
#: The share of the past in a moving average.
DECAY = 0.8
#: Energies are compared among this many candidates or more. Among fewer, an honest update of a
#: class that no other participant has looks like noise.
ENERGY_CANDIDATES = 20
#: Directions are tested in a pool of this size or more.
DIRECTION_POOL = 8
#: Updates are clipped to this many median lengths. At 1, honest updates of classes that the model
#: has yet to learn are too short; larger values give adaptive fakes more effect.
CLIP = 1.25
#: The factor by which the usual length may grow from one round to the next. Without an attack it
#: grew by 2.14 at most. Without a limit, fakes that prevail in one round set the next length.
PACE = 2.0
#: A participant with a higher reputation value has no weight.
WORST_REPUTATION = 0.5


@registry.register
@dataclass(frozen=True)
class Sentinel(StatefulRule):
    r"""Rejects updates that no training makes, and bounds the effect of hidden minorities.

    .. math::
        \frac{\sum_{i \in A} a_i\, g_i \min(1, 1.25\, U / \lVert g_i \rVert)}{\sum_{i \in A} a_i},
        \qquad
        a_i = \frac{1}{\max\big(1,\; \sum_j \max(0,\, r_i \cdot r_j,\, p_i \cdot p_j)^{1.5}
        \big)^{1.2}}

    where A holds the updates that no step flags, U is the usual length, and the weights :math:`a_i`
    fall with the similarity to other participants, in the past (:math:`r_i`) and in this round
    (:math:`p_i`). All are defined below.

    It is made against fake clients, is not told their number, and has no clean data. :math:`u_i` is
    update i divided by its length, :math:`M_i` the unit vector along its moving average
    :math:`E_i \leftarrow 0.8\, E_i + 0.2\, u_i`. The *pool* holds the participants present, and
    those absent for 10 rounds at most whose last update had weight; for these u is M.

    0. *Rejection*: updates with a value beyond 1e15 are rejected, those of zeros abstain.
    1. *Hard tests* (``hard_tests.py``): seven tests of single updates: sums over the classes,
       common zeros, spectrum, coherence and profile of the layers, duplicates, length.
    2. *Energy* (``directions.py``; among 20 candidates or more): updates that have no direction in
       common with others.
    3. *Minority cluster* (``clusters.py``): a minority with a direction of its own.
    4. *Consensus* (``directions.py``): the geometric median c of the :math:`M_i` not flagged, or of
       the larger of two clusters. If more than 55 % of them have a cosine above 0.4 with it, then
       :math:`r_i = \mathrm{unit}(M_i - (M_i \cdot c)\, c)`, and likewise :math:`p_i` of
       :math:`u_i`. Else :math:`r_i = M_i` and :math:`p_i = u_i`.
    5. *Direction* (``directions.py``; in a pool of 8 or more): updates that point away from c, or,
       without a consensus, from the centre weighted by the next step.
    6. *Similarity* (``directions.py``): the weights :math:`a_i`; the sum is over all j of the pool,
       i among them, that the steps 1 to 3 have not flagged.
    7. *Reputation*: :math:`R_i \leftarrow 0.8\, R_i + 0.2` if a hard test has flagged i, else
       :math:`0.8\, R_i`; no weight while it is above 0.5.
    8. *Clipping*: to 1.25 times the usual length U, the median of the lengths of the remaining
       updates and of the pool's absent members, at most twice that of the round before.

    *Vote guard*: if the energy or direction test would leave half of the tested updates or fewer,
    it flags none in this round; after such a direction test there is no consensus.

    Tests reject crude attacks, and weights bound the others: k momenta of one direction weigh
    together less than a single one. Clipping alone cannot do that, since honest updates of
    different classes mostly cancel. Honest participants must not be duplicates: each needs its own
    batch order. With more fakes than honest participants the guarantees do not hold.

    It needs the layout of the model and 3 updates or more. If fewer than 3 are left in step 0, or
    none at the end, the model is kept: an update of zeros, no update accepted. Cost: two Gram
    matrices, :math:`O(n^2 d)`, and ``4 d`` bytes for each participant remembered.

    For ablations, ``without`` leaves steps out: ``without=similarity+momentum``.

    Source:
        FedSiege, see :doc:`/sentinel`. Every threshold was found by experiment, with 50
        participants on MNIST; see :doc:`/sentinel-development`.
    """

    name: ClassVar[str] = "sentinel"
    summary: ClassVar[str] = "rejects what no training makes, bounds a minority of one direction"
    accuses: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("layout",)

    remember: Annotated[
        int,
        Ge(1),
        "number of participants remembered; those absent longest are forgotten first",
    ] = memory.REMEMBERED
    without: Annotated[
        str | None, "steps to leave out, joined by +, to see what each is good for"
    ] = None

    def check_together(self) -> None:
        """Raise InvalidValue if ``without`` names an unknown step."""
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
        """Return the aggregation of a round; it needs the layout.

        The scores are suspicions: ``(1 - a_i + R_i) / 2``, which is below 0.75, for updates with
        weight, and 1 more for flagged ones; 0 for those that abstain, 2 for those rejected.

        Raises:
            InvalidValue: the state is not this rule's, or is of a model of another size.
        """
        without = self._left_out
        n, d = updates.shape
        layers = layers_of(context.layout, d)
        before = _before(state, d) or SentinelState.empty(updates)

        # Step 0: rejection.
        norms = row_norms(updates)
        rejected = ((updates.amax(dim=1) > LARGEST) | (updates.amin(dim=1) < -LARGEST)).cpu()
        active = (norms > SHORTEST) & ~rejected
        scores = 2 * rejected.double()
        if int(active.sum()) < FEWEST:
            return keep_model(updates, scores, replace(before, rounds=before.rounds + 1))
        rows = updates if active.all() else updates[active.to(updates.device)]
        norms, m = norms[active], len(rows)

        # The pool: this round's directions and the moving averages.
        attendance = Attendance.of(before, context.identities(n)[active], self.remember)
        if "memory" in without:
            attendance = replace(attendance, counted=torch.zeros_like(attendance.counted))
        decay = 0.0 if "momentum" in without else DECAY
        pool = build_pool(rows, norms, before, attendance, decay)
        absent = attendance.lengths(before)

        # Step 1: hard tests.
        hard = hard_flags(hard_tests(rows, norms, layers, pool.updates[:m, :m], absent, without), m)

        # Steps 2 to 6: directions.
        flagged = torch.zeros(len(pool.members), dtype=torch.bool)
        flagged[:m] = hard
        order = _random_order(attendance, context)
        result = compare_directions(pool, flagged, attendance.suspects(before), order, without)
        unwanted = (flagged | result.energy | result.cluster | result.direction)[:m]
        weights = result.weights[:m]

        # Step 7: reputation.
        reputations = attendance.reputations(before, hard)
        if "reputation" not in without:
            unwanted |= reputations > WORST_REPUTATION
        scores[active] = unwanted + (1 - weights + reputations) / 2

        # Step 8: clipping and the weighted mean.
        lengths = torch.cat([norms[~unwanted], absent])
        usual = before.usual if unwanted.all() else _usual(lengths, before, without)
        after = attendance.remembering(before, pool.averages, norms, reputations, unwanted, usual)
        if unwanted.all():
            return keep_model(updates, scores, after)
        weights = weights * ~unwanted
        factors = weights
        if "clipping" not in without:
            factors = weights * (CLIP * usual / norms).clamp(max=1)
        accepted = torch.zeros(n, dtype=torch.bool)
        accepted[active] = ~unwanted
        return Aggregation(weighted_mean(rows, factors, weights), accepted, scores, after)


@dataclass(frozen=True)
class DirectionResult:
    """The flags and weights of the pool after the steps 2 to 6.

    Attributes:
        energy: ``(P,)`` bool, flagged by energy.
        cluster: ``(P,)`` bool, flagged as a minority cluster.
        direction: ``(P,)`` bool, flagged by direction.
        weights: ``(P,)`` float64 in (0, 1], a.
        consensus: whether there is a consensus.
    """

    energy: Tensor
    cluster: Tensor
    direction: Tensor
    weights: Tensor
    consensus: bool


def compare_directions(
    pool: Pool, flagged: Tensor, suspects: Tensor, order: Tensor, without: Collection[str] = ()
) -> DirectionResult:
    """Apply the steps 2 to 6, with the vote guard.

    Without the guard, fakes that imitate honest updates and outnumber the others of some kind could
    turn a test against them.

    Args:
        pool: directions and their products.
        flagged: ``(P,)`` bool, flagged by the hard tests.
        suspects: ``(P,)`` bool, members that had no weight when last present.
        order: ``(P,)`` int64, the order in which members are chosen for the comparison by energy.
        without: steps to leave out.
    """
    guarded = "vote-guard" not in without
    none = torch.zeros_like(flagged)
    energy, cluster, direction = none, none, none
    weights = torch.ones(len(flagged), dtype=torch.float64)
    candidates = ~flagged
    if "energy" not in without and int(candidates.sum()) >= ENERGY_CANDIDATES:
        energy = energy_flags(energies(pool.updates, candidates, order))
        if guarded and _takes_half(energy, candidates):
            energy = none
        candidates = candidates & ~energy
    if "faction" not in without:
        cluster = minority_cluster(pool.momenta, candidates, suspects)
        candidates = candidates & ~cluster
    if not candidates.any():
        return DirectionResult(energy, cluster, direction, weights, consensus=False)
    consensus = find_consensus(pool.momenta, candidates, split="camps" not in without)
    along = consensus.cosines
    if consensus.holds:
        along = pool.along_momenta(consensus.weights, consensus.cosines)
    testing = "direction" not in without and len(flagged) >= DIRECTION_POOL
    if testing and consensus.holds:
        direction = against_consensus(along, candidates, consensus)
        if guarded and _takes_half(direction, candidates):
            direction, testing = none, False
            consensus = replace(consensus, holds=False)
    if "similarity" not in without:
        past, now = pool.momenta, pool.updates
        if consensus.holds:
            past, now = residuals(past, consensus.cosines), residuals(now, along)
        products = past if "present" in without else torch.maximum(past, now)
        weights = similarity_weights(products, candidates, steep="crowding" not in without)
    if testing and not consensus.holds:
        direction = against_centre(pool.cosines_with, candidates, weights)
        if guarded and _takes_half(direction, candidates):
            direction = none
    return DirectionResult(energy, cluster, direction, weights, consensus.holds)


def _takes_half(flags: Tensor, candidates: Tensor) -> bool:
    """Return whether a test leaves at most half of the updates that it tests."""
    return 2 * int((candidates & ~flags).sum()) <= int(candidates.sum())


def _before(state: object | None, d: int) -> SentinelState | None:
    """Return the memory of the rounds before, None in the first."""
    each = {"lengths": ("k",), "reputations": ("k",), "flagged": ("k",)}
    shapes = {**memory.SHAPES, "momenta": ("k", d), **each}
    return own(Sentinel.name, state, SentinelState, ["momenta", "lengths"], **shapes)


def _usual(lengths: Tensor, before: SentinelState, without: Collection[str]) -> float:
    """Return the median length, at most twice that of the round before."""
    median = float(median_of(lengths))
    if before.usual > 0 and "pace" not in without:
        return min(median, PACE * before.usual)
    return median


def _random_order(attendance: Attendance, context: RoundContext) -> Tensor:
    """Return ``(P,)`` int64: the pool in an order drawn among identities, not among rows."""
    ascending = attendance.pool.argsort()
    random = seeding.generator(context.seed, "sentinel peers", attendance.turnout.rounds)
    return ascending[torch.from_numpy(random.permutation(len(ascending)))]
