"""Who sends what another sends, by hand."""

import math

import pytest
import torch

from fedsiege import detectors
from fedsiege.errors import InvalidValue


def at_angles(*degrees: float) -> torch.Tensor:
    """Rows of length 1, 2, 3 ... at angles in a plane."""
    rows = [[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in degrees]
    return torch.tensor(rows) * torch.arange(1, len(degrees) + 1)[:, None]


def gap(degrees: float) -> float:
    return 1 - math.cos(math.radians(degrees))


def test_by_hand():
    # 0 and 10 are 10 apart, 40 is 30 from 10, 100 is 60 from 40.
    scores, state = detectors.create("duplicate", cosine=0.999).score(at_angles(0, 10, 40, 100))
    expected = [0.001 / gap(10), 0.001 / gap(10), 0.001 / gap(30), 0.001 / gap(60)]
    assert scores.tolist() == pytest.approx(expected, rel=1e-3)
    assert state is None


def test_by_hand_in_groups_of_three():
    scores, _ = detectors.create("duplicate", cosine=0.999, group=3).score(
        at_angles(0, 10, 40, 100)
    )
    expected = [0.001 / gap(x) for x in (40, 30, 40, 90)]
    assert scores.tolist() == pytest.approx(expected, rel=1e-3)


def test_parallel_updates_are_flagged_whatever_their_length():
    scores, _ = detectors.create("duplicate").score(at_angles(0, 80, 80, 160, 240))
    assert (scores >= 1).tolist() == [False, True, True, False, False]
    assert scores[1] == pytest.approx(10), "the gap is 1e-6 at least"


def test_opposite_updates_are_no_duplicates():
    scores, _ = detectors.create("duplicate").score(at_angles(0, 180, 100, 240))
    assert not (scores >= 1).any()


def test_a_pair_is_no_group_of_three():
    scores, _ = detectors.create("duplicate", group=3).score(at_angles(0, 80, 80, 160, 240))
    assert not (scores >= 1).any()


def test_where_most_are_alike_it_says_nothing_of_anyone():
    scores, _ = detectors.create("duplicate").score(at_angles(30, 30, 30, 30, 90))
    assert scores.tolist() == [0] * 5


def test_zeros_are_nobodys_duplicates():
    rows = torch.cat([torch.zeros(2, 2), at_angles(0, 120, 240)])
    assert not (detectors.create("duplicate").score(rows)[0] >= 1).any()


@pytest.mark.parametrize(
    "parameters", [{"cosine": 1.0}, {"cosine": 0}, {"group": 1}, {"group": 2.5}]
)
def test_parameters_out_of_range(parameters):
    with pytest.raises(InvalidValue, match="duplicate:"):
        detectors.create("duplicate", **parameters)
