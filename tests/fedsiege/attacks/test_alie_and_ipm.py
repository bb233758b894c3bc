"""A little is enough, and inner product manipulation."""

import pytest

from fedsiege import attacks
from fedsiege.attacks.compromised.alie import largest_shift
from fedsiege.errors import UnfitRound

#: Mean 2 and 10; sample deviation 2 and 4 (population: 1.63 and 3.27).
ROWS = [[0.0, 6.0], [2.0, 10.0], [4.0, 14.0]]


@pytest.mark.parametrize(
    ("n", "f", "z"),
    [
        (50, 10, 0.2533471),  # s = 16, Phi^-1(24 / 40)
        (100, 20, 0.2858409),  # s = 31, Phi^-1(49 / 80); not Phi(.6) = .7257
        (51, 12, 0.3612016),  # s = floor(26.5) - 12 = 14, Phi^-1(25 / 39)
    ],
)
def test_z_is_the_quantile_of_those_who_need_not_be_convinced(n, f, z):
    assert largest_shift(n, f) == pytest.approx(z, abs=1e-6)


def test_alie_shifts_the_mean_by_z_sample_deviations(tell):
    crafted = attacks.parse("alie:z=0.5").craft(tell(ROWS), [1, 4])
    assert crafted.tolist() == [[1.0, 8.0]] * 2
    assert attacks.parse("alie:z=-0.5").craft(tell(ROWS), [1]).tolist() == [[3.0, 12.0]]


def test_alie_counts_whom_it_knows(tell):
    """10 hostile and 40 benign: z = 0.2533, whatever the number it is told."""
    own = [[float(i)] for i in range(10)]
    benign = [[-1.0], [1.0]] * 20
    crafted = attacks.parse("alie:knowledge=full").craft(tell(own, benign, participants=7), [1])
    assert crafted.tolist() == [[pytest.approx(-0.2533471 * (40 / 39) ** 0.5)]]


def test_alie_is_told_how_many_there_are_when_it_cannot_count(tell):
    own = [[-1.0], [1.0]] * 5
    crafted = attacks.parse("alie").craft(tell(own, participants=50), [1])
    assert crafted.tolist() == [[pytest.approx(-0.2533471 * (10 / 9) ** 0.5)]]
    with pytest.raises(UnfitRound, match="how many participants"):
        attacks.parse("alie").craft(tell(own), [1])


@pytest.mark.parametrize(
    ("n", "f", "problem"), [(50, 26, "majority"), (3, 3, "majority"), (50, 2, "too few")]
)
def test_alie_without_a_z_says_so(n, f, problem):
    with pytest.raises(UnfitRound, match=f"{f} of {n} .*{problem}.*alie:z=1.5"):
        largest_shift(n, f)


def test_half_of_all_are_not_yet_a_majority():
    assert largest_shift(50, 25) == pytest.approx(1.7507, abs=1e-4)  # Phi^-1(24 / 25)


def test_ipm_reverses_the_mean(tell):
    assert attacks.parse("ipm:eps=0.5").craft(tell(ROWS), [1, 4]).tolist() == [[-1.0, -5.0]] * 2
    full = attacks.parse("ipm:eps=2,knowledge=full").craft(tell(ROWS, [[1.0, 1.0]]), [1])
    assert full.tolist() == [[-2.0, -2.0]]


@pytest.mark.parametrize(("eps", "turned"), [(3.9, False), (4.1, True)])
def test_ipm_turns_the_mean_round_above_the_odds(eps, turned, tell):
    """4 benign for each hostile one: from eps = 4 the mean points the other way."""
    benign = [[1.0, 2.0]] * 4
    crafted = attacks.create("ipm", eps=eps, knowledge="full").craft(
        tell([[0.0, 0.0]], benign), [1]
    )
    assert (4 * 1.0 + float(crafted[0, 0]) < 0) is turned
