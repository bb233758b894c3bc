"""Min-Max and Min-Sum: as far as they may go, and not further."""

import pytest
import torch

from fedsiege import attacks
from tests.cases import each

PERTURBATIONS = ["std", "unit", "sign"]
#: On a line: mean 2, sample deviation 2.
LINE = [[0.0], [1.0], [5.0]]


def rows(seed: int, scale: float = 1.0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(12, 30, generator=draw) + torch.randn(30, generator=draw)) * scale


def sums(points: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    """Of each point, its squared distances to all rows, added up."""
    return (points.double()[:, None] - of.double()).square().sum(dim=2).sum(dim=1)


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_min_max_on_a_line(perturbation, tell):
    """5 is the largest distance, and below the mean that between 0 and 5: up to 5 - 5 = 0."""
    attack = attacks.create("min-max", perturbation=perturbation)
    assert attack.craft(tell(LINE), [1, 4]).tolist() == [[pytest.approx(0, abs=1e-5)]] * 2


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_min_sum_on_a_line(perturbation, tell):
    """1 is the most central: 1 + 16 = 17. So is 2 + x: 14 + 3 x^2 = 17 for x = -1."""
    attack = attacks.create("min-sum", perturbation=perturbation)
    assert attack.craft(tell(LINE), [1, 4]).tolist() == [[pytest.approx(1, abs=1e-5)]] * 2


def test_min_max_in_the_plane(tell):
    """A square of side 2 around (3, 0), diagonal sqrt(8); the mean reversed is (-1, 0).

    From (3 - x, 0) it is sqrt((x + 1)^2 + 1) to the far corners: x = sqrt(7) - 1.
    """
    square = [[2.0, -1.0], [2.0, 1.0], [4.0, -1.0], [4.0, 1.0]]
    crafted = attacks.parse("min-max:perturbation=unit").craft(tell(square), [1])
    assert crafted[0].tolist() == pytest.approx([4 - 7**0.5, 0], abs=1e-5)


@each("perturbation", PERTURBATIONS)
@each("scale", [1e-3, 1, 1e3])
def test_min_max_never_returns_a_candidate_that_failed(perturbation, scale, tell):
    """And comes within 1e-4 of the bound: authors' copies return the last one tried, which may."""
    for seed in range(5):
        benign = rows(seed, scale)
        attack = attacks.create("min-max", perturbation=perturbation, knowledge="full")
        crafted = attack.craft(tell(benign[:1], benign), [1])
        largest = torch.pdist(benign.double()).max()
        found = (crafted.double() - benign.double()).norm(dim=1).max()
        assert 1 - 1e-4 < float(found / largest) <= 1


@each("perturbation", PERTURBATIONS)
@each("scale", [1e-3, 1, 1e3])
def test_min_sum_keeps_to_the_least_of_the_benign_sums_of_squares(perturbation, scale, tell):
    """The largest sum, or sums without the square, would let it go further."""
    for seed in range(5):
        benign = rows(seed, scale)
        attack = attacks.create("min-sum", perturbation=perturbation, knowledge="full")
        crafted = attack.craft(tell(benign[:1], benign), [1])
        bound = sums(benign, benign).min()
        assert 1 - 1e-4 < float(sums(crafted, benign)[0] / bound) <= 1


@pytest.mark.parametrize("name", ["min-max", "min-sum"])
@pytest.mark.parametrize(
    ("perturbation", "expected"),
    [
        ("std", lambda benign: -benign.std(dim=0)),
        ("unit", lambda benign: -benign.mean(dim=0)),
        ("sign", lambda benign: -benign.mean(dim=0).sign()),
    ],
)
def test_the_perturbation_says_where_to_go(name, perturbation, expected, tell):
    benign = rows(9)
    crafted = attacks.create(name, perturbation=perturbation).craft(tell(benign), [1])[0]
    moved = crafted - benign.mean(dim=0)
    assert float(torch.cosine_similarity(moved, expected(benign), dim=0)) > 0.9999


@pytest.mark.parametrize("name", ["min-max", "min-sum"])
@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_where_all_are_the_same_there_is_no_room(name, perturbation, tell):
    crafted = attacks.create(name, perturbation=perturbation).craft(tell([[3.0, -1.0]] * 4), [1])
    assert crafted[0].tolist() == pytest.approx([3.0, -1.0])


@pytest.mark.parametrize("name", ["min-max", "min-sum"])
@pytest.mark.parametrize("perturbation", ["unit", "sign"])
def test_a_mean_of_zero_cannot_be_reversed(name, perturbation, tell):
    attack = attacks.create(name, perturbation=perturbation)
    assert attack.craft(tell([[1.0, -2.0], [-1.0, 2.0]]), [1]).tolist() == [[0.0, 0.0]]
