"""Who sends more than the others, by hand."""

import math

import pytest
import torch

from fedsiege import detectors
from fedsiege.errors import InvalidValue


def of_norms(*norms: float) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(len(norms), 50, generator=draw)
    return rows / rows.norm(dim=1, keepdim=True) * torch.tensor(norms)[:, None]


def test_by_hand():
    # logs -1 0 0.5 1 9: median .5, deviations 1.5 .5 0 .5 8.5 with median .5
    scores, state = detectors.create("norm", z=2.0).score(
        of_norms(*(math.exp(x) for x in (-1, 0, 0.5, 1, 9)))
    )
    expected = [x / (1.4826 * 0.5) / 2 for x in (-1.5, -0.5, 0, 0.5, 8.5)]
    assert scores.tolist() == pytest.approx(expected, rel=1e-5)
    assert state is None


def test_only_length_counts_against_anyone():
    scores, _ = detectors.create("norm").score(of_norms(1, 1.1, 0.9, 1, 1e-9, 1e9))
    assert (scores >= 1).tolist() == [False] * 5 + [True]


@pytest.mark.parametrize("factor", [1e-12, 1e15])
def test_it_has_no_scale(factor):
    rows = of_norms(1, 1.5, 0.9, 1, 7, 50)
    detector = detectors.create("norm")
    scaled = detector.score(rows * factor)[0]
    torch.testing.assert_close(scaled, detector.score(rows)[0], rtol=1e-4, atol=1e-5)


def test_zeros_are_not_scored_and_move_nobody():
    detector = detectors.create("norm")
    scores, _ = detector.score(of_norms(1, 0, 2, 3, 0, 0, 0))
    alone, _ = detector.score(of_norms(1, 2, 3))
    assert scores[[1, 4, 5, 6]].tolist() == [0] * 4
    torch.testing.assert_close(scores[[0, 2, 3]], alone)


def test_forty_percent_of_identical_fakes_are_all_seen():
    rows = torch.cat([of_norms(*torch.linspace(0.5, 2, 30)), of_norms(40).expand(20, -1)])
    scores, _ = detectors.create("norm").score(rows)
    assert (scores >= 1).tolist() == [False] * 30 + [True] * 20


def test_where_honest_participants_clip_to_one_length_a_longer_one_is_seen():
    rows = torch.eye(5)
    rows[4] *= 3
    assert (detectors.create("norm").score(rows)[0] >= 1).tolist() == [False] * 4 + [True]


@pytest.mark.parametrize("parameters", [{"z": 0}, {"z": math.nan}, {"floor": 0}, {"floor": "a"}])
def test_parameters_out_of_range(parameters):
    with pytest.raises(InvalidValue, match="norm:"):
        detectors.create("norm", **parameters)
