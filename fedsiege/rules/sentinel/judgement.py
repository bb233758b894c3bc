"""Who points where the others do not, and how much the rest weigh: energy to direction."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedsiege.rules.sentinel.consensus import find_consensus, residuals
from fedsiege.rules.sentinel.direction import against_centre, against_consensus
from fedsiege.rules.sentinel.energy import energies, energy_flags
from fedsiege.rules.sentinel.faction import find_faction
from fedsiege.rules.sentinel.products import Pool
from fedsiege.rules.sentinel.similarity import similarity_weights

#: The fewest candidates that are compared by their energy: among fewer, who alone has some class
#: looks as if made up. And the smallest pool in which directions are judged.
_ENERGY_CANDIDATES, _DIRECTION_POOL = 20, 8


@dataclass(frozen=True)
class Judgement:
    """What became of the pool.

    Attributes:
        energy: ``(P,)`` bool, flagged by their energy.
        faction: ``(P,)`` bool, flagged as a minority that pulls one way.
        direction: ``(P,)`` bool, flagged by their direction.
        weights: ``(P,)`` float64 in (0, 1], a.
        consensus: whether there is a common direction.
    """

    energy: Tensor
    faction: Tensor
    direction: Tensor
    weights: Tensor
    consensus: bool


def judge(
    pool: Pool, flagged: Tensor, suspects: Tensor, order: Tensor, without: Collection[str] = ()
) -> Judgement:
    """Take the steps from energy to direction, each guarded.

    The vote guard: a test that would leave half of those it judges or fewer flags nobody in this
    round. Without it, mimics that outnumber the rest somewhere would turn a test against them.

    Args:
        pool: directions and their products.
        flagged: ``(P,)`` bool, by the hard tests.
        suspects: ``(P,)`` bool, who had no weight when last here.
        order: ``(P,)`` int64, in which members of the pool are asked to be compared with.
        without: steps to leave out.
    """
    guarded = "vote-guard" not in without
    nobody = torch.zeros_like(flagged)
    energy, faction, direction = nobody, nobody, nobody
    weights = torch.ones(len(flagged), dtype=torch.float64)
    candidates = ~flagged
    if "energy" not in without and int(candidates.sum()) >= _ENERGY_CANDIDATES:
        energy = energy_flags(energies(pool.updates, candidates, order))
        if guarded and _takes_half(energy, candidates):
            energy = nobody
        candidates = candidates & ~energy
    if "faction" not in without:
        faction = find_faction(pool.momenta, candidates, suspects)
        candidates = candidates & ~faction
    if not candidates.any():
        return Judgement(energy, faction, direction, weights, consensus=False)
    consensus = find_consensus(pool.momenta, candidates, camps="camps" not in without)
    along = consensus.cosines
    if consensus.holds:
        along = pool.along_momenta(consensus.weights, consensus.cosines)
    judging = "direction" not in without and len(flagged) >= _DIRECTION_POOL
    if judging and consensus.holds:
        direction = against_consensus(along, candidates, consensus)
        if guarded and _takes_half(direction, candidates):
            direction, judging = nobody, False
            consensus = replace(consensus, holds=False)
    if "similarity" not in without:
        alike, now = pool.momenta, pool.updates
        if consensus.holds:
            alike, now = residuals(alike, consensus.cosines), residuals(now, along)
        if "present" not in without:
            alike = torch.maximum(alike, now)
        crowded = "crowding" not in without
        weights = similarity_weights(alike, candidates, crowded=crowded)
    if judging and not consensus.holds:
        direction = against_centre(pool.cosines_with, candidates, weights)
        if guarded and _takes_half(direction, candidates):
            direction = nobody
    return Judgement(energy, faction, direction, weights, consensus.holds)


def _takes_half(flags: Tensor, candidates: Tensor) -> bool:
    """Whether a test would leave at most half of those it judges."""
    return 2 * int((candidates & ~flags).sum()) <= int(candidates.sum())
