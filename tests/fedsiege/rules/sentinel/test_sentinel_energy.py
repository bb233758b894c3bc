"""The energy of an update in the main directions of the others."""

import pytest
import torch

from fedsiege.numerics.cosines import cosines
from fedsiege.rules.sentinel import energy


def everyone(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(n, dtype=torch.bool), torch.arange(n)


def crowd(n: int, d: int = 3000, seed: int = 0) -> torch.Tensor:
    """Rows that vary in five directions."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=generator) @ torch.randn(5, d, generator=generator)


def noise(n: int, d: int = 3000) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(9))


def test_it_is_the_projection_on_the_singular_vectors_of_the_others() -> None:
    rows = torch.nn.functional.normalize(crowd(30) + 2 * noise(30), dim=1)
    found = energy.energies(cosines(rows), *everyone(30))
    others = rows[torch.arange(30) % 8 != 0].double()  # 0, 8, 16 and 24 are judged together
    directions = torch.linalg.svd(others, full_matrices=False).Vh[:10]
    expected = (directions @ rows[0].double()).square().sum().item()
    assert expected > 0.1
    assert found[0].item() == pytest.approx(expected, abs=1e-4)


def test_noise_is_alone_and_who_shares_directions_is_not() -> None:
    found = energy.energies(cosines(torch.cat([noise(8), crowd(12)])), *everyone(20))
    assert energy.energy_flags(found).tolist() == [True] * 8 + [False] * 12
    assert found[:8].max() < 0.06
    assert found[8:].min() > 0.2


def test_who_has_a_class_alone_has_something_in_common_still() -> None:
    """A tenth of its energy lies where the others are: far below their median, but no noise."""
    rows = torch.nn.functional.normalize(torch.cat([noise(1), crowd(29)]), dim=1)
    rows[0] = 0.95 * rows[0] + 0.1**0.5 * rows[1]
    found = energy.energies(cosines(rows), *everyone(30))
    assert found[0] < 0.2 * found[1:].median()
    assert not energy.energy_flags(found).any()


@pytest.mark.parametrize("n", [64, 65, 66, 200])
def test_nobody_vouches_for_itself_however_many_there_are(n: int) -> None:
    rows = torch.cat([crowd(n - 5), noise(5)])
    order = torch.arange(n).flip(0)  # the five are asked first
    found = energy.energies(cosines(rows), torch.ones(n, dtype=torch.bool), order)
    assert energy.energy_flags(found).nonzero().flatten().tolist() == list(range(n - 5, n))


def test_only_candidates_judge_and_are_judged() -> None:
    candidates = torch.arange(12) < 8
    found = energy.energies(cosines(torch.cat([crowd(8), noise(4)])), candidates, torch.arange(12))
    assert found[8:].isnan().all()
    again = energy.energies(cosines(crowd(8)), *everyone(8))
    torch.testing.assert_close(found[:8], again, atol=1e-5, rtol=0)


def test_too_few_tell_nothing() -> None:
    found = energy.energies(cosines(crowd(4)), *everyone(4))
    assert found.isnan().all()
    assert not energy.energy_flags(found).any()


def test_identical_rows_have_one_direction() -> None:
    found = energy.energies(torch.ones(6, 6).double(), *everyone(6))
    assert found.tolist() == pytest.approx([1.0] * 6)
