"""Energy, consensus, direction and similarity."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from fedsiege.numerics.cosines import cosines
from fedsiege.rules import GeometricMedian
from fedsiege.rules.sentinel.directions import (
    against_centre,
    against_consensus,
    energies,
    energy_flags,
    find_consensus,
    geometric_median,
    residuals,
    similarity_weights,
)


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


def test_the_residual_of_the_common_direction_is_zero() -> None:
    gram = torch.ones(5, 5).double()
    found = find_consensus(gram, everyone(5))
    assert found.holds
    assert not residuals(gram, found.cosines).any()


@pytest.mark.parametrize(("steep", "one"), [(True, 4**-1.2), (False, 0.25)])
def test_k_of_one_direction_weigh_at_most_as_much_as_one(steep: bool, one: float) -> None:
    rows = torch.cat([torch.eye(6).double(), torch.eye(6).double()[:1].repeat(3, 1)])
    weights = similarity_weights(rows @ rows.T, everyone(9), steep=steep)
    assert weights.tolist() == pytest.approx([one, 1, 1, 1, 1, 1, one, one, one])
    weights = similarity_weights(rows @ rows.T, torch.arange(9) < 6, steep=steep)
    assert weights[:6].tolist() == pytest.approx([1] * 6)


def test_a_cluster_that_spreads_out_does_not_gain() -> None:
    """Twenty with cosines of 0.2 pull with 20 a sqrt(0.2): less, counting squares less still."""
    gram = torch.full((20, 20), 0.2).double().fill_diagonal_(1)
    spread = similarity_weights(gram, everyone(20))[0].item()
    assert spread == pytest.approx((1 + 19 * 0.2**1.5) ** -1.2)
    assert spread < 0.6 * similarity_weights(gram, everyone(20), steep=False)[0].item()


def test_opposite_directions_are_not_similar() -> None:
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


def test_the_second_centre_leaves_out_updates_flagged_by_the_first() -> None:
    """A group at 90 degrees draws q to itself; once the one at 180 is out, q is nearer to it."""
    asked = []

    def cosines_with(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(weights.tolist())
        return torch.tensor([1.0, 1, 1, 0]).double(), torch.ones(4).double()

    against_centre(cosines_with, everyone(4), torch.full((4,), 0.5).double())
    assert asked == [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.0]]
    assert math.isclose(sum(asked[1]), 1.5)


def all_candidates(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(n, dtype=torch.bool), torch.arange(n)


def similar(n: int, d: int = 3000, seed: int = 0) -> torch.Tensor:
    """Rows that vary in five directions."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=generator) @ torch.randn(5, d, generator=generator)


def noise(n: int, d: int = 3000) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(9))


def test_energy_is_the_projection_on_the_singular_vectors_of_the_others() -> None:
    rows = torch.nn.functional.normalize(similar(30) + 2 * noise(30), dim=1)
    found = energies(cosines(rows), *all_candidates(30))
    others = rows[torch.arange(30) % 8 != 0].double()  # 0, 8, 16 and 24 are judged together
    directions = torch.linalg.svd(others, full_matrices=False).Vh[:10]
    expected = (directions @ rows[0].double()).square().sum().item()
    assert expected > 0.1
    assert found[0].item() == pytest.approx(expected, abs=1e-4)


def test_noise_has_low_energy_and_shared_directions_have_high_energy() -> None:
    found = energies(cosines(torch.cat([noise(8), similar(12)])), *all_candidates(20))
    assert energy_flags(found).tolist() == [True] * 8 + [False] * 12
    assert found[:8].max() < 0.06
    assert found[8:].min() > 0.2


def test_a_participant_with_a_class_of_its_own_is_not_flagged() -> None:
    """A tenth of its energy lies where the others are: far below their median, but no noise."""
    rows = torch.nn.functional.normalize(torch.cat([noise(1), similar(29)]), dim=1)
    rows[0] = 0.95 * rows[0] + 0.1**0.5 * rows[1]
    found = energies(cosines(rows), *all_candidates(30))
    assert found[0] < 0.2 * found[1:].median()
    assert not energy_flags(found).any()


@pytest.mark.parametrize("n", [64, 65, 66, 200])
def test_no_update_is_compared_with_itself(n: int) -> None:
    rows = torch.cat([similar(n - 5), noise(5)])
    order = torch.arange(n).flip(0)  # the five are asked first
    found = energies(cosines(rows), torch.ones(n, dtype=torch.bool), order)
    assert energy_flags(found).nonzero().flatten().tolist() == list(range(n - 5, n))


def test_only_candidates_judge_and_are_judged() -> None:
    candidates = torch.arange(12) < 8
    found = energies(cosines(torch.cat([similar(8), noise(4)])), candidates, torch.arange(12))
    assert found[8:].isnan().all()
    again = energies(cosines(similar(8)), *all_candidates(8))
    torch.testing.assert_close(found[:8], again, atol=1e-5, rtol=0)


def test_too_few_candidates_have_no_energy() -> None:
    found = energies(cosines(similar(4)), *all_candidates(4))
    assert found.isnan().all()
    assert not energy_flags(found).any()


def test_identical_rows_have_one_direction() -> None:
    found = energies(torch.ones(6, 6).double(), *all_candidates(6))
    assert found.tolist() == pytest.approx([1.0] * 6)
