"""The steps from energy to direction, and the vote guard."""

import dataclasses

import torch
from torch.nn.functional import normalize

from fedsiege.rules.sentinel.pool import Pool, build_pool
from fedsiege.rules.sentinel.rule import DirectionResult, compare_directions
from fedsiege.rules.sentinel.state import Attendance, SentinelState

D = 2000


def random_rows(n: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(n, D, generator=torch.Generator().manual_seed(seed)), dim=1)


def around(direction: torch.Tensor, n: int, spread: float, seed: int = 1) -> torch.Tensor:
    return direction + spread * random_rows(n, seed)


def pool_of(rows: torch.Tensor) -> Pool:
    before = SentinelState.empty(rows)
    attendance = Attendance.of(before, torch.arange(len(rows)), remember=100)
    return build_pool(rows, rows.double().norm(dim=1), before, attendance, decay=0.8)


def result(rows: torch.Tensor, without: tuple[str, ...] = (), flagged: int = 0) -> DirectionResult:
    """Compare rows of which the first are flagged already."""
    order = torch.arange(len(rows))
    return compare_directions(pool_of(rows), order < flagged, order < 0, order, without)


AXIS = torch.eye(D)[0]
HONEST = around(AXIS, 24, spread=1.0)


def test_updates_against_the_consensus_are_flagged() -> None:
    rows = torch.cat([around(-AXIS, 9, 0.5, seed=3), HONEST])
    found = result(rows, without=("faction",))
    assert found.consensus
    assert found.direction.tolist() == [True] * 9 + [False] * 24
    assert result(rows).cluster.equal(found.direction)  # which sees them first


def test_noise_among_participants_with_common_directions() -> None:
    found = result(torch.cat([random_rows(6, seed=4), HONEST]))
    assert found.energy.tolist() == [True] * 6 + [False] * 24
    assert not found.direction[6:].any()


def test_a_hidden_minority_weighs_at_most_as_much_as_one() -> None:
    """Orthogonal to what all want, but of one mind: the direction test cannot see it."""
    hidden = around(AXIS + torch.eye(D)[1], 10, spread=0.3, seed=5)
    found = result(torch.cat([hidden, HONEST]))
    assert not (found.energy | found.direction).any()
    assert found.weights[:10].sum() < 1.0
    assert found.weights[10:].min() > 5 * found.weights[:10].max()
    before = result(torch.cat([hidden, HONEST]), without=("crowding",))
    assert before.weights[:10].sum() < 1.6
    assert before.weights[10:].min() > 0.5
    assert result(torch.cat([hidden, HONEST]), without=("similarity",)).weights.tolist() == [1] * 34


def test_similarity_in_this_round_alone_counts() -> None:
    """Fakes that come in turns have pasts of their own, and one mind now."""
    pool = pool_of(torch.cat([HONEST, random_rows(1, seed=4).repeat(4, 1)]))
    pasts = pool.momenta.clone()
    pasts[24:, 24:] = torch.eye(4)
    turns = dataclasses.replace(pool, momenta=pasts)
    nobody, order = torch.zeros(28, dtype=torch.bool), torch.arange(28)
    assert compare_directions(turns, nobody, nobody, order).weights[24:].max() < 0.2
    assert compare_directions(turns, nobody, nobody, order, ["present"]).weights[24:].min() > 0.5


def test_previously_flagged_clusters_have_lower_bounds() -> None:
    """Of one mind, but hardly: with spreads like these who is new is left alone."""
    rows = torch.cat([around(AXIS, 20, spread=1.8, seed=5), classes(30)])
    nobody, order = torch.zeros(50, dtype=torch.bool), torch.arange(50)
    pool = pool_of(rows)
    assert not compare_directions(pool, nobody, nobody, order).cluster.any()
    assert compare_directions(pool, nobody, order < 20, order).cluster.equal(order < 20)


def classes(n: int, seed: int = 6) -> torch.Tensor:
    """Participants with little in common: those of each of ten classes have a direction."""
    return 0.9 * random_rows(10, seed)[torch.arange(n) % 10] + 0.5 * random_rows(n, seed + 1)


def test_without_a_consensus_updates_against_the_centre_are_flagged() -> None:
    honest = classes(30)
    back = -normalize(honest.mean(dim=0), dim=0)
    rows = torch.cat([around(back, 6, spread=0.3, seed=8), honest])
    found = result(rows, without=("faction",))
    assert not found.consensus
    assert found.direction.tolist() == [True] * 6 + [False] * 30


def test_flagged_ones_neither_judge_nor_are_result() -> None:
    found = result(torch.cat([around(-AXIS, 24, 0.1, seed=3), HONEST]), flagged=24)
    assert found.consensus
    assert not found.direction.any()
    assert not found.energy.any()


def test_a_direction_test_that_leaves_half_is_ignored_with_the_consensus() -> None:
    """Momenta agree, but in this round half of the updates turn: who is right is not known."""
    pool = pool_of(HONEST)
    turned = pool.rows.clone()
    turned[:12] = -turned[:12]
    turned_pool = Pool(
        pool.updates, pool.momenta, turned, pool.norms, pool.averages, pool.members, pool.lengths
    )
    nobody, order = torch.zeros(24, dtype=torch.bool), torch.arange(24)
    assert compare_directions(pool, nobody, nobody, order).consensus
    guarded = compare_directions(turned_pool, nobody, nobody, order)
    assert not guarded.consensus
    assert not guarded.direction.any()
    unguarded = compare_directions(turned_pool, nobody, nobody, order, ["vote-guard"])
    assert unguarded.direction[:12].all()
    assert guarded.weights.max() < 0.5  # of M itself, in which all are alike


def test_an_energy_test_that_leaves_half_is_ignored() -> None:
    rows = torch.cat([random_rows(20, seed=4), around(AXIS, 21, spread=0.1)])
    assert result(rows).energy.tolist() == [True] * 20 + [False] * 21
    assert not result(rows[:40]).energy.any()
    assert result(rows[:40], without=("vote-guard",)).energy.sum() == 20


def test_small_pools_are_not_tested() -> None:
    assert not result(torch.cat([random_rows(3, seed=4), HONEST[:16]])).energy.any()
    assert not result(torch.cat([-HONEST[:2], HONEST[2:7]])).direction.any()
    assert result(torch.cat([-HONEST[:2], HONEST[2:8]])).direction.sum() == 2


def test_steps_can_be_left_out() -> None:
    rows = torch.cat([random_rows(6, seed=4), around(-AXIS, 6, 0.5, seed=3), HONEST])
    assert result(rows).energy.any()
    assert result(rows).cluster.any()
    assert result(rows, without=("faction",)).direction.any()
    assert not result(rows, without=("energy",)).energy.any()
    assert not result(rows, without=("faction", "direction")).direction.any()
    assert not result(rows, without=("faction",)).cluster.any()


def test_no_candidate_is_left() -> None:
    found = result(HONEST, flagged=24)
    assert not found.consensus
    assert not (found.energy | found.direction).any()
