"""Minority clusters are found, the larger of two clusters too; classes are no clusters."""

import pytest
import torch
from torch.nn.functional import normalize

from fedsiege.rules.sentinel.clusters import larger_cluster, minority_cluster
from fedsiege.rules.sentinel.directions import find_consensus
from tests.cases import each

D = 2000


def random_rows(n: int, seed: int) -> torch.Tensor:
    noise = torch.randn(n, D, generator=torch.Generator().manual_seed(seed)).double()
    return normalize(noise, dim=1)


def around(axis: int, n: int, spread: float, seed: int = 1) -> torch.Tensor:
    """Unit vectors of mean cosine ``1 / (1 + spread^2)`` around an axis."""
    return normalize(torch.eye(D)[axis].double() + spread * random_rows(n, seed), dim=1)


def classes(n: int, count: int = 10, own: float = 0.8, seed: int = 7) -> torch.Tensor:
    """Participants of whom each has one of so many classes: each class has a direction."""
    centres = random_rows(count, seed)
    return normalize(centres[torch.arange(n) % count] + own * random_rows(n, seed + 1), dim=1)


def found(*groups: torch.Tensor, suspects: int = 0) -> list[bool]:
    """Who is a minority cluster; the first few are suspects."""
    rows = torch.cat(groups)
    order = torch.arange(len(rows))
    everyone = torch.ones(len(rows), dtype=torch.bool)
    return minority_cluster(rows @ rows.T, everyone, order < suspects).tolist()


@pytest.mark.parametrize(("n", "spread"), [(8, 0.1), (15, 0.5), (22, 0.1), (22, 1.0)])
def test_a_minority_with_a_direction_of_its_own(n: int, spread: float) -> None:
    expected = [True] * n + [False] * (50 - n)
    assert found(around(0, n, spread), classes(50 - n)) == expected


def test_the_order_of_rows_does_not_matter() -> None:
    rows = torch.cat([around(0, 20, 0.5), classes(30)])
    shuffled = torch.randperm(50, generator=torch.Generator().manual_seed(3))
    everyone, nobody = torch.ones(50, dtype=torch.bool), torch.zeros(50, dtype=torch.bool)
    rows = rows[shuffled]
    assert minority_cluster(rows @ rows.T, everyone, nobody).equal(shuffled < 20)


@each("seed", range(6))
@each("n", [12, 30, 50])
def test_participants_with_a_class_each_are_no_cluster(n: int, seed: int) -> None:
    assert not any(found(classes(n, seed=7 + 10 * seed)))


def test_more_than_45_percent_are_no_minority() -> None:
    assert sum(found(around(0, 18, 0.3), classes(22))) == 18
    assert not any(found(around(0, 19, 0.3), classes(21)))


def test_two_are_none() -> None:
    assert not any(found(around(0, 2, 0.01), around(1, 18, 1.5)))
    assert sum(found(around(0, 3, 0.01), around(1, 7, 1.5))) == 3
    assert not any(found(around(0, 2, 0.01), around(1, 3, 1.5)))  # five in all


def test_a_group_close_to_the_others_is_no_cluster() -> None:
    """All go one way, some of them a little more to the left."""
    left = torch.eye(D)[0].double() + 0.8 * torch.eye(D)[1]
    some = normalize(left + 0.3 * random_rows(15, 4), dim=1)
    assert not any(found(some, around(0, 35, 0.5, seed=5)))
    apart = normalize(torch.eye(D)[1].double() + 0.3 * random_rows(15, 4), dim=1)
    assert sum(found(apart, around(0, 35, 0.5, seed=5))) == 15


def test_an_update_that_only_leans_to_the_cluster_is_no_member() -> None:
    """Nor is it fewer for that: without the trim the group would be too large for a minority."""
    leaning = normalize(0.45 * torch.eye(D)[0].double() + random_rows(4, 6), dim=1)
    assert found(around(0, 20, 0.2), leaning, classes(26)) == [True] * 20 + [False] * 30


def test_the_cluster_is_the_more_united_group_of_any_size() -> None:
    """Half of the others lean away from it, so that its own group is the larger one."""
    rows = torch.cat([around(0, 9, 0.2), classes(21)])
    assert found(rows) == [True] * 9 + [False] * 21


def test_suspects_need_to_stand_out_less() -> None:
    groups = around(0, 20, 2.4), classes(30)
    assert not any(found(*groups))
    assert found(*groups, suspects=20) == [True] * 20 + [False] * 30
    assert not any(found(*groups, suspects=16))  # no more than 80 % of them


def test_only_members_can_form_a_minority_cluster() -> None:
    rows = torch.cat([around(0, 20, 0.3), classes(30)])
    members = torch.arange(50) % 5 > 0
    nobody = torch.zeros(50, dtype=torch.bool)
    assert minority_cluster(rows @ rows.T, members, nobody).equal(members & (torch.arange(50) < 20))


def everyone(n: int) -> torch.Tensor:
    return torch.ones(n, dtype=torch.bool)


def test_the_larger_of_two_clusters() -> None:
    rows = torch.cat([around(0, 12, 1.0, seed=1), around(1, 8, 0.3, seed=2)])
    assert larger_cluster(rows @ rows.T, everyone(20)).tolist() == [True] * 12 + [False] * 8


def test_the_tighter_cluster_does_not_move_the_consensus() -> None:
    """In between lies a centre that 20 of 50 who agree closely share with 30 who agree loosely."""
    rows = torch.cat([around(0, 30, 1.1, seed=1), around(1, 20, 0.2, seed=2)])
    with_split = find_consensus(rows @ rows.T, everyone(50))
    assert with_split.supporters.tolist() == [True] * 30 + [False] * 20
    assert with_split.holds
    without = find_consensus(rows @ rows.T, everyone(50), split=False)
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
def test_without_two_clusters_all_members(rows: torch.Tensor) -> None:
    assert larger_cluster(rows @ rows.T, everyone(len(rows))).all()


def test_only_members_are_in_a_cluster() -> None:
    rows = torch.cat([around(0, 12, 1.0, seed=1), around(1, 8, 0.3, seed=2)])
    members = torch.arange(20) % 4 > 0
    found = larger_cluster(rows @ rows.T, members)
    assert found.equal(members & (torch.arange(20) < 12))
