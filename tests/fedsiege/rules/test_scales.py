"""Rules at any scale: all rows by a factor, and one row far louder than all others."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch

from fedsiege import rules
from fedsiege.numerics.distances import distances_to
from fedsiege.rules import CAF, MDA, SMEA, Bulyan, DnC, Krum, MultiKrum, squared_distances
from fedsiege.rules.pre.nnm import nearest
from tests.cases import each
from tests.fedsiege.rules.cases import NAMES, TEXTS, aggregate

#: Rules whose result depends on the size of updates by definition.
ABSOLUTE = {
    "crfl": "bounds the norm of the model",
    "dp-fedavg": "clips to a given norm",
    "fedavg": "adds up multiples of 2^-50",
    "norm-clipping": "adds up multiples of 2^-50",
    "sentinel": "takes very short rows for none and rejects very long ones",
}
PIPELINES = ["nnm/median", "bucketing/median", "clipping/trimmed-mean", "arc/nnm/multi-krum"]
INVARIANT = [*(TEXTS.get(name, name) for name in NAMES if name not in ABSOLUTE), *PIPELINES]
FACTORS = [1e20, 1e-30, 1e37]


def a_round(n: int = 16, d: int = 40, hostile: int = 3) -> torch.Tensor:
    """Honest rows around a direction; among them some that pull another way and differ little."""
    generator = torch.Generator().manual_seed(7)
    direction = torch.randn(d, generator=generator) / d**0.5
    rows = direction + 0.5 * torch.randn(n, d, generator=generator) / d**0.5
    noise = torch.randn(hostile, d, generator=generator)
    rows[5 : 5 + hostile] = 3 * rows[-1].flip(0) + 0.1 * noise
    return rows


@each("factor", FACTORS)
@each("text", INVARIANT)
def test_a_scale_invariant_rule_is_invariant(text: str, factor: float) -> None:
    updates = a_round()
    rule = rules.parse(text)
    usual, scaled = aggregate(rule, updates), aggregate(rule, updates * factor)
    assert torch.equal(scaled.accepted, usual.accepted)
    found = scaled.update.double() / factor
    torch.testing.assert_close(
        found,
        usual.update.double(),
        rtol=1e-4,
        atol=1e-5,
        msg=lambda text: f"{text}\nA rule that depends on the size of updates belongs in ABSOLUTE.",
    )


@each("factor", [1e38, 3e38])
@each("rule", [Krum(f=3), MultiKrum(f=3), Bulyan(f=3), MDA(f=3), SMEA(f=3), CAF(f=3)])
def test_up_to_the_largest_float32(rule: rules.Rule, factor: float) -> None:
    updates = a_round()
    updates /= updates.abs().max()
    assert torch.equal(rule(updates * factor).accepted, rule(updates).accepted)


@pytest.mark.parametrize("factor", [1e-37, 1e-30, 1e-20, 1e18, 1e20, 1e37])
def test_distances_are_good_at_every_scale(factor: float) -> None:
    rows = torch.cat([a_round(), torch.zeros(2, 40), a_round()[:1].repeat(2, 1)]) * factor
    rows[5] *= 1e-8
    rows[6] = rows[7] * (1 + 1e-6)
    wide = rows.double()
    exact = torch.stack([(wide - row).square().sum(dim=1) for row in wide])
    torch.testing.assert_close(
        squared_distances(rows) / factor**2, exact / factor**2, rtol=3e-4, atol=0
    )
    torch.testing.assert_close(
        distances_to(rows) / factor, wide.norm(dim=1) / factor, rtol=1e-6, atol=0
    )
    torch.testing.assert_close(
        distances_to(rows, rows[3]).square() / factor**2, exact[3] / factor**2, rtol=1e-6, atol=0
    )


def reference_krum(rows: np.ndarray, f: int) -> np.ndarray:
    distances = np.square(rows[:, None] - rows).sum(axis=2)
    return np.sort(distances, axis=1)[:, 1 : len(rows) - f - 1].sum(axis=1)


def best_of(rows: np.ndarray, f: int, key: Callable[[np.ndarray], object]) -> set[int]:
    n = len(rows)
    return set(min(combinations(range(n), n - f), key=lambda kept: key(rows[list(kept)])))


def diameter(kept: np.ndarray) -> tuple[float, float]:
    """The largest squared distance; of several equal ones, the smallest sum decides."""
    squares = np.square(kept[:, None] - kept).sum(axis=2)
    return float(squares.max()), float(squares.sum())


def variance(kept: np.ndarray) -> float:
    return float(np.linalg.svd(kept - kept.mean(axis=0), compute_uv=False)[0])


def reference_bulyan(rows: np.ndarray, f: int) -> set[int]:
    distances = np.square(rows[:, None] - rows).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    left, chosen = list(range(len(rows))), set()
    first = np.sort(distances, axis=1)[:, : len(rows) - f - 2].sum(axis=1)
    for _ in range(len(rows) - 2 * f):
        ordered = np.sort(distances[np.ix_(left, left)], axis=1)
        scores = ordered[:, : max(0, len(left) - f - 2)].sum(axis=1)
        best = left[int(np.lexsort((first[left], scores))[0])]
        chosen.add(best)
        left.remove(best)
    return chosen


def reference_caf(rows: np.ndarray, f: int) -> set[int]:
    """The weights by singular vectors, without the n x n products; summed with more digits."""
    weights, smallest, best = np.ones(len(rows)), np.inf, np.ones(len(rows))
    while True:
        mean = (weights[:, None] * rows).sum(axis=0, dtype=np.longdouble) / weights.sum()
        away = (rows - mean).astype(np.float64)
        shares = np.sqrt(weights / weights.sum())[:, None]
        _, values, directions = np.linalg.svd(shares * away, full_matrices=False)
        if values[0] < smallest:
            smallest, best = values[0], weights
        outlying = (away @ directions[0]) ** 2
        weights = weights * (1 - np.minimum(1, outlying / outlying[weights > 0].max()))
        if weights.sum() <= len(rows) - 2 * f:
            return set(np.flatnonzero(best > 0).tolist())


REFERENCES: dict[str, tuple[rules.Rule, Callable[[np.ndarray], set[int]]]] = {
    "krum": (Krum(f=3), lambda rows: {int(reference_krum(rows, 3).argmin())}),
    "multi-krum": (MultiKrum(f=3), lambda rows: set(reference_krum(rows, 3).argsort()[:12])),
    "bulyan": (Bulyan(f=3), lambda rows: reference_bulyan(rows, 3)),
    "mda": (MDA(f=3), lambda rows: best_of(rows, 3, diameter)),
    "smea": (SMEA(f=3), lambda rows: best_of(rows, 3, variance)),
    "caf": (CAF(f=3), lambda rows: reference_caf(rows, 3)),
}


@each("loud", [1.0, 1e8, 1e12, 1e15, 1e30])
@each("name", REFERENCES)
def test_one_loud_row_does_not_decide_which_others_are_accepted(name: str, loud: float) -> None:
    """Fifteen rows, two of them fakes, one of them scaled up: all against float64 by definition."""
    rule, reference = REFERENCES[name]
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        updates = torch.randn(15, 100, generator=generator)
        updates[:2] = 3 * torch.randn(100, generator=generator) + updates[:2]
        updates[2] *= loud
        accepted = set(rule(updates).accepted.nonzero().flatten().tolist())
        assert accepted == reference(updates.double().numpy()), f"seed {seed}"
        assert loud == 1 or 2 not in accepted, f"seed {seed}"
        assert name == "caf" or not accepted & {0, 1}, f"seed {seed}"  # to CAF they have a weight


@each("where", [0, 7, 14])
@each("loud", [1e8, 1e12, 1e15])
def test_neighbours_are_found_beside_a_loud_row(loud: float, where: int) -> None:
    updates = a_round(15)
    updates[where] *= loud
    wide = updates.double()
    exact = torch.stack([(wide - row).square().sum(dim=1) for row in wide])
    others = torch.arange(15) != where  # it is itself as far from one of them as from another
    found, expected = nearest(squared_distances(updates), 12), nearest(exact, 12)
    assert torch.equal(found[others], expected[others])


@pytest.mark.parametrize("loud", [1e8, 1e12, 1e15])
def test_dnc_scores_beside_a_loud_row(loud: float) -> None:
    """All but the loud row lie a mean away from it: their scores differ by rounding errors."""
    updates = a_round(15)
    updates[7] *= loud
    exact = updates.numpy().astype(np.longdouble)
    exact -= exact.mean(axis=0)
    vector = exact[7]
    for _ in range(20):
        vector = exact.T @ (exact @ vector)
        vector = vector / np.sqrt((vector**2).sum())
    expected = ((exact @ vector) ** 2).astype(np.float64)
    result = DnC(f=3)(updates)
    assert result.scores is not None
    np.testing.assert_allclose(result.scores.numpy(), expected, rtol=1e-11)
    assert not result.accepted[7]
    assert int(result.accepted.sum()) == 12


@each("loud", [1e8, 1e12, 1e15, 1e30])
@each("text", ["flame:noise=0", "layerguard", "foolsgold", "sentinel", "signguard", "auror"])
def test_what_judges_directions_judges_others_the_same_however_loud_one_is(
    text: str, loud: float
) -> None:
    updates = a_round(30)
    updates[9] *= 100
    rule = rules.parse(text)
    others = torch.arange(30) != 9
    quiet = aggregate(rule, updates).accepted[others]
    updates[9] *= loud / 100
    assert torch.equal(aggregate(rule, updates).accepted[others], quiet)


@pytest.mark.parametrize("text", ["arc:f=1/fedavg", "clipping/median", "centered-clipping"])
def test_a_row_of_the_largest_float32_is_clipped_to_the_length_of_the_others(text: str) -> None:
    """Beside rows of length 1e-5 its factor is 2e-45, of which float32 has one digit or none."""
    updates = torch.full((9, 400), 1e-5 / 20, dtype=torch.float64).float()
    updates[4] = -torch.finfo(torch.float32).max
    clipped = updates.double()
    clipped[4] *= clipped[0].norm() / clipped[4].norm()
    expected = clipped.median(dim=0).values if "median" in text else clipped.mean(dim=0)
    found = aggregate(rules.parse(text), updates).update
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
