"""Hostile participants: they craft from what they were sent, and from nothing else."""

from collections.abc import Callable

import numpy as np
import pytest

from fedsiege import attacks
from fedsiege.attacks import Attack, Broadcast
from fedsiege.errors import InvalidValue
from fedsiege.v1 import simulator_pb2 as pb
from services.attacker.crew import HostileCrew

NET = 13_106


def join(attack: str) -> pb.Join:
    return pb.Join(model="net", seed=3, attack=pb.AttackTask(attack=attack))


def crew_of(attack: str) -> HostileCrew:
    crew = HostileCrew()
    crew.prepare(join(attack))
    return crew


def model(value: float) -> np.ndarray:
    return np.full(NET, value, np.float32)


def crafted(crew: HostileCrew, weights: np.ndarray, indices: list[int], round_number: int = 1):
    blocks = list(crew.updates(round_number, weights, indices))
    assert [update.index for block in blocks for update in block] == indices
    return [update for block in blocks for update in block]


def test_it_says_which_attack_and_what_it_may_know():
    crew = HostileCrew()
    method = crew.prepare(join("mpaf:scale=2"))
    assert method.startswith("mpaf:scale=2.0")
    assert "the broadcast model only" in method
    assert crew.size == NET


@pytest.mark.parametrize("name", attacks.names())
def test_every_attack_crafts_for_everyone_and_leaves_the_model_alone(name):
    crew, weights = crew_of(name), model(0.5)
    for round_number in (1, 2, 3):
        found = crafted(crew, weights, [1, 4, 9], round_number)
        for update in found:
            assert update.delta.shape == (NET,)
            assert update.delta.dtype == np.float32
            assert update.delta.flags.c_contiguous
            claimed = attacks.create(name).claim([update.index])
            assert (update.num_samples, update.num_steps) == claimed
    np.testing.assert_array_equal(weights, model(0.5))


@pytest.mark.parametrize("name", attacks.names())
def test_who_hosts_a_participant_changes_nothing(name):
    rounds = [(1, model(0.5)), (2, model(0.25))]
    together = [
        crafted(crew, w, list(range(100)), t) for crew in [crew_of(name)] for t, w in rounds
    ]
    apart = [crafted(crew, w, [7, 70], t) for crew in [crew_of(name)] for t, w in rounds]
    for everyone, two in zip(together, apart, strict=True):
        for update in two:
            np.testing.assert_array_equal(update.delta, everyone[update.index].delta)


class Witness(Attack):
    """Remembers what it was handed."""

    def __init__(self) -> None:
        self.seen: list[Broadcast] = []

    def craft(self, broadcast, participants):
        self.seen.append(broadcast)
        return broadcast.model.expand(len(participants), -1)


@pytest.fixture
def witness(monkeypatch) -> tuple[HostileCrew, Witness]:
    witness = Witness()
    crew = crew_of("mpaf")
    crew._attack = witness
    return crew, witness


Play = Callable[[int, float], Broadcast]


@pytest.fixture
def play(witness) -> Play:
    """Do a round with a model of one value; returns what the attack saw."""
    crew, attack = witness

    def one_round(round_number: int, value: float) -> Broadcast:
        crafted(crew, model(value), [0], round_number)
        return attack.seen[-1]

    return one_round


def test_it_sees_what_any_participant_sees(play):
    seen = play(1, 0.5)
    assert (seen.round_number, seen.architecture, seen.seed) == (1, "net", 3)
    assert seen.model.tolist() == [0.5] * NET
    assert seen.previous is None, "nothing came before"


def test_the_previous_model_is_that_of_the_last_round_it_took_part_in(play):
    play(1, 1.0)
    assert float(play(2, 2.0).previous[0]) == 1.0
    assert float(play(3, 3.0).previous[0]) == 2.0
    assert float(play(7, 7.0).previous[0]) == 3.0, "it missed some"


def test_a_round_told_twice_is_one_round(play):
    play(1, 1.0)
    play(2, 2.0)
    assert float(play(2, 2.0).previous[0]) == 1.0
    assert float(play(3, 3.0).previous[0]) == 2.0


def test_the_first_round_told_twice_has_nothing_before(play):
    play(1, 1.0)
    assert play(1, 1.0).previous is None


def test_many_are_crafted_block_by_block(witness):
    crew, attack = witness
    blocks = list(crew.updates(1, model(0.5), list(range(200))))
    assert [len(block) for block in blocks] == [64, 64, 64, 8]
    assert len(attack.seen) == 4


@pytest.mark.parametrize(
    ("attack", "words"),
    [("mpfa", "mpaf"), ("mpaf:scale=-1", "-1"), ("mpaf:skale=1", "scale"), ("", "There are")],
)
def test_an_attack_that_cannot_be_read_is_named(attack, words):
    with pytest.raises(InvalidValue, match=words):
        HostileCrew().prepare(join(attack))


def test_a_model_that_does_not_exist_is_named():
    assignment = join("mpaf")
    assignment.model = "nett"
    with pytest.raises(InvalidValue, match="net"):
        HostileCrew().prepare(assignment)


def test_who_is_nobody_special_claims_nothing_special():
    special = [name for name in attacks.names() if attacks.create(name).claim([0]) != (1, 1)]
    assert special == ["forged-metadata"]


def test_an_attack_with_a_memory_goes_on_where_it_ended_and_a_round_told_twice_counts_once():
    once, twice = crew_of("poisonedfl"), crew_of("poisonedfl")
    models = [model(0.0), model(1.0), np.linspace(0, 3, NET, dtype=np.float32)]
    ends = []
    for crew, repeats in ((once, 1), (twice, 2)):
        for number, weights in enumerate(models, start=1):
            for _ in range(repeats):
                ends.append(crafted(crew, weights, [2, 3], number))
    last_once, last_twice = ends[2][0].delta, ends[-1][0].delta
    np.testing.assert_array_equal(last_once, last_twice)
    fresh = crafted(crew_of("poisonedfl"), models[2], [2, 3], 3)[0].delta
    assert not np.array_equal(fresh, last_once)
