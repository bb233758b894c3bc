"""Shares of natural groups."""

import numpy as np
import pytest

from fedsiege import partitions
from fedsiege.errors import InvalidValue

LABELS = np.random.default_rng(0).integers(0, 10, 600)
GROUPS = np.random.default_rng(1).permutation(np.repeat(np.arange(12), np.arange(20, 80, 5)))[:600]
NATURAL = partitions.parse("natural")


def groups_of(shares: list[partitions.Indices]) -> list[set[int]]:
    return [set(GROUPS[share].tolist()) for share in shares]


def test_no_group_is_cut_and_all_are_dealt_in_turn() -> None:
    for participants in (1, 5, 12):
        held = groups_of(list(NATURAL.assign(LABELS, participants, 0, 0, GROUPS)))
        assert sum(len(one) for one in held) == len(set().union(*held)) == 12
        assert {len(one) for one in held} <= {12 // participants, -(-12 // participants)}


def test_samples_is_the_most_that_a_participant_has() -> None:
    shares = NATURAL.assign(LABELS, 12, 30, 0, GROUPS)
    for share, (group,) in zip(shares, groups_of(list(shares)), strict=True):
        assert len(share) == min(30, (group == GROUPS).sum())


def test_which_group_a_participant_has_is_drawn() -> None:
    first = {groups_of(list(NATURAL.assign(LABELS, 12, 0, s, GROUPS)))[0].pop() for s in range(20)}
    assert len(first) > 5


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValue, match="participants=13 is not possible: at most 12"):
        NATURAL.check(LABELS, 13, 0, GROUPS)
    with pytest.raises(InvalidValue, match="data sets that say to whom each sample belongs"):
        NATURAL.check(LABELS, 2, 0)
