"""The one pass over the matrix: momenta, and the products of the pool."""

import pytest
import torch
from torch.nn.functional import normalize

from fedsiege.rules.sentinel import pool as module
from fedsiege.rules.sentinel.state import Attendance, SentinelState


def rows(n: int, d: int = 300, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def memory(identities: list[int], momenta: torch.Tensor) -> SentinelState:
    """What is left of one round in which all of these sent."""
    k = len(identities)
    ones = torch.ones(k, dtype=torch.int64)
    nobody = torch.zeros(k, dtype=torch.bool)
    nothing = nobody.double()
    return SentinelState(torch.tensor(identities), ones, 1, momenta, ones.double(), nothing, nobody)


def pool_of(
    updates: torch.Tensor, before: SentinelState | None = None, present: list[int] | None = None
) -> module.Pool:
    before = before or SentinelState.empty(updates)
    identities = torch.arange(len(updates)) if present is None else torch.tensor(present)
    attendance = Attendance.of(before, identities, remember=100)
    return module.build_pool(updates, updates.double().norm(dim=1), before, attendance, decay=0.8)


def test_newcomers_have_the_direction_of_their_first_update() -> None:
    pool = pool_of(rows(6) * 1e6)
    torch.testing.assert_close(pool.averages, 0.2 * normalize(rows(6), dim=1))
    unit = normalize(rows(6).double(), dim=1)
    torch.testing.assert_close(pool.updates, unit @ unit.T, atol=1e-6, rtol=0)
    torch.testing.assert_close(pool.momenta, pool.updates, atol=1e-6, rtol=0)


def test_momenta_follow_identities_and_absent_ones_are_in_the_pool() -> None:
    past = rows(3, seed=1)
    updates = rows(3)
    pool = pool_of(updates, memory([7, 8, 9], past), present=[9, 4, 7])
    unit = normalize(updates, dim=1)
    expected = torch.stack(
        [0.8 * past[2] + 0.2 * unit[0], 0.2 * unit[1], 0.8 * past[0] + 0.2 * unit[2], past[1]]
    )
    torch.testing.assert_close(pool.averages, expected)
    u = normalize(torch.cat([updates, past[1:2]]).double(), dim=1)
    m = normalize(expected.double(), dim=1)
    torch.testing.assert_close(pool.updates, u @ u.T, atol=1e-6, rtol=0)
    torch.testing.assert_close(pool.momenta, m @ m.T, atol=1e-6, rtol=0)


def test_absent_participants_outside_the_pool_are_remembered() -> None:
    before = memory([7, 8], rows(2, seed=1))
    before.flagged[1] = True
    pool = pool_of(rows(3), before, present=[1, 2, 3])
    assert pool.members.tolist() == [0, 1, 2, 3]
    assert pool.updates.shape == (4, 4)
    assert torch.equal(pool.averages[3:], before.momenta)


def test_products_with_directions_are_those_of_the_vectors() -> None:
    updates, past = rows(4), rows(2, seed=1)
    pool = pool_of(updates, memory([2, 9], past), present=[0, 1, 2, 3])
    u = normalize(torch.cat([updates, past[1:]]).double(), dim=1)
    m = normalize(pool.averages.double(), dim=1)
    weights = torch.tensor([0.5, -1.0, 0.0, 2.0, 1.0]).double()
    direction = normalize(weights @ m, dim=0)
    along = pool.along_momenta(weights / (weights @ m).norm(), m @ direction)
    torch.testing.assert_close(along[:4], (u @ direction)[:4], atol=1e-6, rtol=0)
    centre = normalize(weights @ u, dim=0)
    for found, expected in zip(pool.cosines_with(weights), (u @ centre, m @ centre), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_blocks_and_tiles_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    before = memory(list(range(5, 15)), rows(10, seed=1))
    whole = pool_of(rows(10), before)
    monkeypatch.setattr(module, "_WIDTH", 77)
    monkeypatch.setattr(module, "_TILE", 4)
    blocks = pool_of(rows(10), before)
    torch.testing.assert_close(blocks.updates, whole.updates, atol=1e-6, rtol=0)
    torch.testing.assert_close(blocks.momenta, whole.momenta, atol=1e-6, rtol=0)
    torch.testing.assert_close(blocks.averages, whole.averages)
