import numpy as np
import pytest
import torch

from fedsiege.numerics.distances import squared_distances
from fedsiege.rules import Bulyan, FedAvg, Krum, MultiKrum
from fedsiege.rules.bulyan import choose


def slow_choice(rows: np.ndarray, count: int, f: int) -> list[int]:
    """Krum, anew over the rows that are left, as the paper writes it."""

    def score(i: int, left: list[int]) -> float:
        squares = sorted(np.square(rows[i] - rows[j]).sum() for j in left if j != i)
        return sum(squares[: max(0, len(left) - f - 2)])

    everyone, chosen = list(range(len(rows))), []
    left = everyone.copy()
    while len(chosen) < count:
        best = min(left, key=lambda i: (score(i, left), score(i, everyone)))
        chosen.append(best)
        left.remove(best)
    return chosen


@pytest.mark.parametrize(("n", "f"), [(3, 0), (7, 1), (15, 3), (23, 5), (40, 5)])
def test_krum_chooses_anew_among_those_left(n: int, f: int) -> None:
    rows = np.random.default_rng(n).standard_normal((n, 8))
    distances = squared_distances(torch.from_numpy(rows)).numpy()
    chosen, scores = choose(distances, n - 2 * f, f)
    assert chosen == slow_choice(rows, n - 2 * f, f)
    krum = Krum(f=f)(torch.from_numpy(rows))
    assert krum.scores is not None
    np.testing.assert_allclose(scores, krum.scores)


def test_the_second_step_averages_what_lies_around_the_median() -> None:
    # n = 7, f = 1: Krum leaves out 9 and -8, the median of 0, 1, 2, 4, 5 is 2, the 3 values
    # nearest to it are 1, 2 and then 0 or 4; of equal ones the smaller.
    updates = torch.tensor([[0.0], [1.0], [9.0], [2.0], [4.0], [5.0], [-8.0]])
    result = Bulyan(f=1)(updates)
    assert result.accepted.tolist() == [True, True, False, True, True, True, False]
    assert result.update.item() == pytest.approx(1.0)


def test_the_second_step_is_over_the_chosen_rows_alone() -> None:
    """n = 7, f = 1: 100 and 200 go. The median of the others is 2, that of all rows would be 3."""
    updates = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [100.0], [200.0]])
    result = Bulyan(f=1)(updates)
    assert result.accepted.tolist() == [True] * 5 + [False] * 2
    assert result.update.item() == pytest.approx(2.0)


def test_the_second_step_really_runs() -> None:
    """The attack the paper is about: a fake that Krum likes, with one coordinate far off."""
    generator = torch.Generator().manual_seed(0)
    updates = torch.randn(23, 1000, generator=generator)
    hidden = updates[5:].mean(dim=0)
    hidden[7] += 20  # the distance of two honest rows is about 45
    updates[:5] = hidden
    honest = updates[5:].mean(dim=0)
    assert MultiKrum(f=5)(updates).update[7] > honest[7] + 4
    result = Bulyan(f=5)(updates)
    assert result.accepted[:5].any()
    assert abs(result.update[7] - honest[7]) < 2


def test_fakes_that_carry_the_mean_away_do_not_carry_it() -> None:
    """Identical fakes are chosen at the end of step 1, when few are left; step 2 takes them out."""
    updates = torch.randn(15, 40, generator=torch.Generator().manual_seed(0))
    honest = updates[3:].mean(dim=0)
    updates[:3] = 1e4
    assert (FedAvg()(updates).update - honest).norm() > 1000
    assert (Bulyan(f=3)(updates).update - honest).norm() < 5
