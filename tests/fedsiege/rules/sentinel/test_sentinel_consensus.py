"""The common direction, and what is left without it."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from fedsiege.rules import GeometricMedian
from fedsiege.rules.sentinel.consensus import find_consensus, geometric_median, residuals
from fedsiege.rules.sentinel.direction import against_centre, against_consensus
from fedsiege.rules.sentinel.similarity import similarity_weights


def directions(*degrees: float) -> torch.Tensor:
    """Unit vectors in the plane."""
    radians = torch.tensor(degrees).double().deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def everyone(n: int) -> torch.Tensor:
    return torch.ones(n, dtype=torch.bool)


def scattered(n: int, spread: float, seed: int = 0) -> torch.Tensor:
    """Unit vectors around the first axis."""
    noise = torch.randn(n, 40, generator=torch.Generator().manual_seed(seed)).double()
    noise[:, 0] = 0
    return normalize(torch.eye(40)[0].double() + spread * normalize(noise, dim=1), dim=1)


def test_the_geometric_median_is_that_of_the_rule() -> None:
    rows = torch.cat([scattered(12, 0.8), -scattered(4, 0.3, seed=1)])
    weights = geometric_median(rows @ rows.T, everyone(16))
    assert weights.sum().item() == pytest.approx(1)
    expected = GeometricMedian()(rows).update.double()
    torch.testing.assert_close(weights @ rows, expected, atol=1e-3, rtol=0)


def test_only_members_count() -> None:
    rows = torch.cat([scattered(6, 0.5), -scattered(6, 0.5)])
    weights = geometric_median(rows @ rows.T, torch.arange(12) < 6)
    assert not weights[6:].any()


def test_a_common_direction() -> None:
    rows = scattered(20, 1.0)
    found = find_consensus(rows @ rows.T, everyone(20))
    assert found.holds
    assert found.supporters.all()
    direction = found.weights @ rows
    assert direction.norm().item() == pytest.approx(1)
    assert direction[0] > 0.9
    torch.testing.assert_close(found.cosines, rows @ direction)


def test_forty_percent_that_pull_back_do_not_turn_it() -> None:
    rows = torch.cat([scattered(12, 1.0), -scattered(8, 0.1, seed=1)])
    found = find_consensus(rows @ rows.T, everyone(20))
    assert (found.weights @ rows)[0] > 0.9
    assert found.supporters.tolist() == [True] * 12 + [False] * 8
    assert found.holds  # 60 %


def test_where_all_directions_differ_there_is_none() -> None:
    found = find_consensus(torch.eye(9).double(), everyone(9))
    assert not found.holds


def test_residuals_are_what_is_left_without_the_common_direction() -> None:
    rows = scattered(10, 1.0)
    found = find_consensus(rows @ rows.T, everyone(10))
    direction = found.weights @ rows
    left = normalize(rows - (rows @ direction)[:, None] * direction, dim=1)
    torch.testing.assert_close(residuals(rows @ rows.T, found.cosines), left @ left.T)


def test_of_who_is_the_common_direction_nothing_is_left() -> None:
    gram = torch.ones(5, 5).double()
    found = find_consensus(gram, everyone(5))
    assert found.holds
    assert not residuals(gram, found.cosines).any()


@pytest.mark.parametrize(("crowded", "one"), [(True, 4**-1.2), (False, 0.25)])
def test_k_of_one_direction_weigh_what_one_does_or_less(crowded: bool, one: float) -> None:
    rows = torch.cat([torch.eye(6).double(), torch.eye(6).double()[:1].repeat(3, 1)])
    weights = similarity_weights(rows @ rows.T, everyone(9), crowded=crowded)
    assert weights.tolist() == pytest.approx([one, 1, 1, 1, 1, 1, one, one, one])
    weights = similarity_weights(rows @ rows.T, torch.arange(9) < 6, crowded=crowded)
    assert weights[:6].tolist() == pytest.approx([1] * 6)


def test_a_crowd_that_spreads_out_does_not_gain() -> None:
    """Twenty with cosines of 0.2 pull with 20 a sqrt(0.2): less, counting squares less still."""
    gram = torch.full((20, 20), 0.2).double().fill_diagonal_(1)
    spread = similarity_weights(gram, everyone(20))[0].item()
    assert spread == pytest.approx((1 + 19 * 0.2**1.5) ** -1.2)
    assert spread < 0.6 * similarity_weights(gram, everyone(20), crowded=False)[0].item()


def test_opposites_are_not_alike() -> None:
    rows = directions(0, 180, 60)
    weights = similarity_weights(rows @ rows.T, everyone(3))
    beside = (1 + 0.5**1.5) ** -1.2
    assert weights.tolist() == pytest.approx([beside, 1, beside])


def test_against_the_consensus_is_far_below_its_supporters() -> None:
    rows = scattered(12, 0.5)
    found = find_consensus(rows @ rows.T, everyone(12))
    along = torch.full((12,), 0.8).double()
    along[:2] = torch.tensor([0.44, 0.46]).double()
    assert against_consensus(along, everyone(12), found).nonzero().flatten().tolist() == [0]
    assert not against_consensus(along, torch.arange(12) > 5, found).any()


def test_against_the_centre_by_hand() -> None:
    """Six at 0 degrees and one at 120: with q near 0, its cosine is more than .5 below."""
    rows = directions(0, 0, 0, 0, 0, 0, 120)

    def cosines_with(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        along = rows @ normalize(weights @ rows, dim=0)
        return along, torch.ones(7).double()

    flags = against_centre(cosines_with, everyone(7), torch.ones(7).double())
    assert flags.tolist() == [False] * 6 + [True]


@pytest.mark.parametrize(("cosine", "flagged"), [(0.29, True), (0.31, False)])
def test_a_step_away_from_the_centre(cosine: float, flagged: bool) -> None:
    """The median of the steps is .8: so below .3 is away."""
    steps = torch.tensor([0.8] * 6 + [cosine]).double()

    def cosines_with(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return steps, torch.ones(7).double()

    flags = against_centre(cosines_with, everyone(7), torch.ones(7).double())
    assert flags[6].item() is flagged


@pytest.mark.parametrize(
    ("others", "momentum", "flagged"),
    [(0.25, -0.26, True), (0.25, -0.24, False), (0.45, -0.11, True), (0.45, -0.09, False)],
)
def test_a_path_away_from_the_centre(others: float, momentum: float, flagged: bool) -> None:
    """Half a cosine below the median of the paths, and below -.1 in any case."""
    momenta = torch.tensor([others] * 6 + [momentum]).double()

    def cosines_with(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(7).double(), momenta

    flags = against_centre(cosines_with, everyone(7), torch.ones(7).double())
    assert flags[6].item() is flagged


def test_the_second_look_is_without_those_flagged_in_the_first() -> None:
    """A group at 90 degrees draws q to itself; once the one at 180 is out, q is nearer to it."""
    asked = []

    def cosines_with(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(weights.tolist())
        return torch.tensor([1.0, 1, 1, 0]).double(), torch.ones(4).double()

    against_centre(cosines_with, everyone(4), torch.full((4,), 0.5).double())
    assert asked == [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.0]]
    assert math.isclose(sum(asked[1]), 1.5)
