"""Who takes part: identities, turns, and shares of the participants drawn for each round."""

import numpy as np
import pytest

from fedsiege import attacks
from fedsiege.errors import InvalidValue
from fedsiege.experiment.hostile import hostile_indices
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.roster import Roster
from fedsiege.experiment.spec import ExperimentSpec
from tests.cases import each


def roster_of(**settings: object) -> Roster:
    return Roster(ExperimentSpec(**{"clients": 10, "attack": 0.3, **settings}))


def test_who_holds_one_identity_takes_part_in_every_round():
    roster = roster_of()
    assert sorted(roster.hostile) == hostile_indices(10, 0.3)
    assert sorted([*roster.hostile, *roster.benign]) == list(range(10))
    for number in (1, 2, 3):
        assert roster.scheduled(range(10), number) == list(range(10))


def test_who_holds_several_identities_comes_under_another_in_every_round():
    roster = roster_of(attack_name="flooding:identities=3")
    first = hostile_indices(10, 0.3)
    assert roster.hostile == {*first, *range(10, 16)}
    everyone = range(16)
    turns = [set(roster.scheduled(everyone, number)) - set(roster.benign) for number in range(1, 5)]
    assert turns == [set(first), {10, 11, 12}, {13, 14, 15}, set(first)]
    assert set(roster.benign) <= set(roster.scheduled(everyone, 2))


def test_who_is_absent_leaves_everyone_else_the_same_index():
    roster = roster_of(attack_name="absent")
    assert roster.hostile == set()
    assert roster.benign == roster_of().benign


def test_identities_are_counted_in_the_specification():
    assert ExperimentSpec(clients=10, attack=0.3).identities == 3
    assert ExperimentSpec(clients=10, attack_name="absent").identities == 0
    flooding = ExperimentSpec(clients=10, attack=0.3, attack_name="flooding:identities=3")
    assert (flooding.hostile, flooding.identities) == (3, 9)
    assert ExperimentSpec(attack=0, attack_name="flooding").identities == 0


@each("name", attacks.names())
def test_every_attack_says_how_many_identities_it_holds(name):
    assert attacks.create(name).aliases == {"flooding": 10, "absent": 0}.get(name, 1)


def test_a_share_of_the_participants_is_drawn_anew_for_each_round_and_the_same_again():
    roster = roster_of(participation=0.35)
    rounds = [roster.scheduled(range(10), number) for number in range(1, 30)]
    assert all(len(drawn) == 4 for drawn in rounds), "0.35 of ten, half up"
    assert all(drawn == sorted(set(drawn)) for drawn in rounds)
    assert set().union(*rounds) == set(range(10))
    assert len({tuple(drawn) for drawn in rounds}) > 20
    assert rounds == [roster.scheduled(range(10), number) for number in range(1, 30)]
    another = roster_of(participation=0.35, seed=1)
    assert rounds != [another.scheduled(range(10), number) for number in range(1, 30)]


def test_however_small_the_share_somebody_takes_part():
    assert len(roster_of(participation=0.001).scheduled(range(10), 1)) == 1


def test_the_share_is_of_those_who_are_there():
    drawn = roster_of(participation=0.5).scheduled([1, 3, 5, 7], 1)
    assert len(drawn) == 2
    assert set(drawn) <= {1, 3, 5, 7}


def test_somebody_is_scheduled_even_where_only_those_are_left_whose_turn_it_is_not():
    roster = roster_of(attack_name="flooding:identities=2")
    assert roster.scheduled([10, 11], 1) == [10, 11]


def test_a_threshold_above_the_share_is_refused():
    spec = ExperimentSpec(clients=10, participation=0.5, threshold=6)
    with pytest.raises(InvalidValue, match=r"THRESHOLD=6 .*at most 5"):
        resolve(spec)
    assert resolve(ExperimentSpec(clients=10, participation=0.5)).spec.threshold == 5


def test_several_identities_need_a_number_of_participants():
    with pytest.raises(InvalidValue, match=r"ATTACK_NAME.*several identities"):
        resolve(ExperimentSpec(clients=0, attack_name="flooding"))


@pytest.mark.parametrize("participation", [0.1, 0.5])
def test_hostile_and_benign_participants_are_scheduled_equally_often(participation):
    rounds, everyone, differences = 20, range(40), []
    hostile = np.isin(everyone, hostile_indices(40, 0.2))
    for seed in range(150):
        roster = roster_of(clients=40, attack=0.2, participation=participation, seed=seed)
        drawn = [roster.scheduled(everyone, number) for number in range(1, rounds + 1)]
        shares = np.bincount(np.concatenate(drawn), minlength=40) / rounds
        differences.append(shares[hostile].mean() - shares[~hostile].mean())
    standard_error = np.std(differences) / len(differences) ** 0.5
    assert abs(np.mean(differences)) < 4 * standard_error
