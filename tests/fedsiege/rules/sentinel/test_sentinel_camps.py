"""Two camps are told apart from one direction, and from none."""

import pytest
import torch
from torch.nn.functional import normalize

from fedsiege.rules.sentinel.camps import larger_camp
from fedsiege.rules.sentinel.consensus import find_consensus

D = 2000


def around(axis: int, n: int, spread: float, seed: int) -> torch.Tensor:
    """Unit vectors of mean cosine ``1 / (1 + spread^2)`` around an axis."""
    noise = torch.randn(n, D, generator=torch.Generator().manual_seed(seed)).double()
    return normalize(torch.eye(D)[axis].double() + spread * normalize(noise, dim=1), dim=1)


def everyone(n: int) -> torch.Tensor:
    return torch.ones(n, dtype=torch.bool)


def test_of_two_camps_the_larger_one() -> None:
    rows = torch.cat([around(0, 12, 1.0, seed=1), around(1, 8, 0.3, seed=2)])
    assert larger_camp(rows @ rows.T, everyone(20)).tolist() == [True] * 12 + [False] * 8


def test_the_tighter_camp_does_not_draw_the_consensus_to_itself() -> None:
    """In between lies a centre that 20 of 50 who agree closely share with 30 who agree loosely."""
    rows = torch.cat([around(0, 30, 1.1, seed=1), around(1, 20, 0.2, seed=2)])
    with_camps = find_consensus(rows @ rows.T, everyone(50))
    assert with_camps.supporters.tolist() == [True] * 30 + [False] * 20
    assert with_camps.holds
    without = find_consensus(rows @ rows.T, everyone(50), camps=False)
    assert without.cosines[30:].min() > 0.4


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(around(0, 20, 1.0, seed=1), id="one direction"),
        pytest.param(around(0, 20, 4.0, seed=1), id="none"),
        pytest.param(
            torch.cat([around(0, 12, 3.0, seed=1), around(1, 8, 0.3, seed=2)]),
            id="one of them loose",
        ),
        pytest.param(
            torch.cat([around(0, 18, 1.0, seed=1), around(1, 2, 0.3, seed=2)]), id="two astray"
        ),
        pytest.param(around(0, 5, 1.0, seed=1), id="few"),
    ],
)
def test_else_everyone(rows: torch.Tensor) -> None:
    assert larger_camp(rows @ rows.T, everyone(len(rows))).all()


def test_only_members_are_in_a_camp() -> None:
    rows = torch.cat([around(0, 12, 1.0, seed=1), around(1, 8, 0.3, seed=2)])
    members = torch.arange(20) % 4 > 0
    found = larger_camp(rows @ rows.T, members)
    assert found.equal(members & (torch.arange(20) < 12))
