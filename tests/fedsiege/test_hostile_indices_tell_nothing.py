"""Hostile participants have fixed indices; what is drawn for an index does not depend on it."""

from collections.abc import Sequence

import numpy as np
import pytest

from fedsiege import partitions, seeding
from fedsiege.experiment.hostile import hostile_indices
from tests.cases import each

SEEDS = range(150)
#: Standard errors that the mean difference between hostile and benign may be away from 0.
BOUND = 4.0
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 600))


def measured(shares: Sequence[np.ndarray]) -> np.ndarray:
    """Return ``(n, 4)``: size, mean label, share of the largest class, entropy of the labels."""
    counts = np.array([np.bincount(LABELS[share], minlength=10) for share in shares])
    sizes = counts.sum(axis=1)
    held = counts / sizes[:, None]
    entropy = -(held * np.log(np.where(held > 0, held, 1))).sum(axis=1)
    return np.stack([sizes, held @ np.arange(10), held.max(axis=1), entropy], axis=1)


def deviations(text: str, samples: int, n: int, hostile: Sequence[int]) -> np.ndarray:
    """Return how far hostile and benign are apart in each figure, in standard errors."""
    marked = np.isin(np.arange(n), hostile)
    differences = []
    for seed in SEEDS:
        figures = measured(partitions.parse(text).assign(LABELS, n, samples, seed))
        differences.append(figures[marked].mean(axis=0) - figures[~marked].mean(axis=0))
    mean, spread = np.mean(differences, axis=0), np.std(differences, axis=0)
    away = np.abs(mean) > 1e-9
    return np.divide(mean * len(SEEDS) ** 0.5, spread, out=np.zeros(4), where=away)


@pytest.mark.slow
@each("n", [10, 40])
@each(
    ("text", "data_set_given_out"),
    [
        ("sample", 0.5),
        ("iid", 0.5),
        ("iid", 1.0),
        ("dirichlet:0.1", 0.5),
        ("dirichlet:0.5", 0.5),
        ("dirichlet:0.1", 1.0),
        ("dirichlet:0.5", 1.0),
        ("dirichlet:0.1", 0.0),
        ("dirichlet:0.5", 0.0),
        ("dirichlet-prior:1", 0.5),
    ],
)
def test_shares_of_hostile_and_benign_participants_are_alike(
    text: str, data_set_given_out: float, n: int
) -> None:
    samples = round(data_set_given_out * len(LABELS) / n)
    assert np.abs(deviations(text, samples, n, hostile_indices(n, 0.2))).max() < BOUND


def test_the_bound_is_missed_where_an_index_tells_something() -> None:
    """The last to be dealt to get what is left of the classes, if all data is given out."""
    last = [8, 9]
    assert np.abs(deviations("dirichlet-prior:5", 600, 10, last)).max() > BOUND
    assert np.abs(deviations("dirichlet:0.5", 600, 10, last)).max() < BOUND


def test_kinds_that_are_dealt_out_by_lot_are_dealt_alike_to_hostile_participants() -> None:
    """Such as the strips of a distributed trigger, with every fourth participant hostile."""
    counts = np.bincount(
        [seeding.random_group("dba pattern", index, 4) for index in hostile_indices(400, 0.25)],
        minlength=4,
    )
    assert counts.sum() == 100
    assert counts.min() > 25 - BOUND * (100 * 0.25 * 0.75) ** 0.5
    assert counts.max() < 25 + BOUND * (100 * 0.25 * 0.75) ** 0.5
