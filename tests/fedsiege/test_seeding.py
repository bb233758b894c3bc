import itertools

import numpy as np
import pytest
import torch

from fedsiege.errors import InvalidValue
from fedsiege.seeding import derived, generator, random_group, sequence, torch_generator

COORDINATES = list(
    itertools.product([0, 1, 2**32, 2**64 - 1], ["batch order", "partition"], [0, 1], [0, 1, 2**31])
)


@pytest.mark.parametrize("make", [generator, torch_generator])
def test_the_same_coordinates_give_the_same_numbers(make):
    draws = [draw(make(7, "batch order", 3, 5)) for _ in range(2)]
    assert draws[0] == draws[1]


@pytest.mark.parametrize("make", [generator, torch_generator])
def test_all_other_coordinates_give_other_numbers(make):
    draws = {draw(make(*coordinates)) for coordinates in COORDINATES}
    assert len(draws) == len(COORDINATES)


def test_neighbouring_participants_are_not_correlated():
    draws = [generator(0, "batch order", 1, i).standard_normal(5000) for i in range(20)]
    assert np.abs(np.corrcoef(draws) - np.eye(20)).max() < 0.08


def test_the_numbers_are_these_on_every_machine():
    """Pinned: results are published with their seed."""
    assert sequence(7, "batch order", 3, 5).generate_state(2).tolist() == [3799400991, 2507760567]
    assert generator(7, "batch order", 3, 5).integers(1000, size=4).tolist() == [540, 332, 363, 301]
    numbers = torch.randint(1000, (4,), generator=torch_generator(7, "batch order", 3, 5))
    assert numbers.tolist() == [479, 173, 789, 752]


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 10])
def test_a_lot_is_even_among_participants_that_are_spaced_evenly(every):
    drawn = [random_group("group", participant, 5) for participant in range(0, 1000 * every, every)]
    assert all(150 < drawn.count(kind) < 250 for kind in range(5))
    assert random_group("another", 3, 1) == 0


def test_nothing_else_is_drawn_from():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draw(torch_generator(7, "batch order"))
    draw(generator(7, "batch order"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(InvalidValue, match=r"seed=.*from 0 to 2\*\*64 - 1"):
        generator(seed, "batch order")


def draw(source: np.random.Generator | torch.Generator) -> tuple[float, ...]:
    if isinstance(source, torch.Generator):
        return tuple(torch.rand(4, dtype=torch.float64, generator=source).tolist())
    return tuple(source.random(4).tolist())


def test_a_derived_seed_is_another_one_for_each_seed_and_purpose() -> None:
    found = {derived(seed, purpose) for seed in (0, 1, 2**64 - 1) for purpose in "ab"}
    assert len(found) == 6
    assert all(0 <= one < 2**64 for one in found)
    assert derived(7, "a") == derived(7, "a")
