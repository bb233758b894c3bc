"""Hostile participants: they craft from what they were sent, and from nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from fedsiege import attacks, models
from fedsiege.attacks import Attack, Broadcast, CompromisedAttack, Knowledge, PoisoningAttack
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.training.base import Shard
from fedsiege.v1 import simulator_pb2 as pb
from services.attacker.participants import HostileParticipants
from services.client.participants import BenignParticipants
from services.rpc import settings

NET = 13_106


NOWHERE = Path("nowhere")
EVERYONE = range(20)
HOSTILE = [1, 4, 9, 17]
SETTINGS = {"lr": 0.01, "momentum": 0, "epochs": 1, "batch": 2, "trainer": "cohort"}
TRAINING = pb.TrainingTask(settings=settings.of(SETTINGS))


def join(attack: str) -> pb.Join:
    task = pb.AttackTask(attack=attack, training=TRAINING, rule="median")
    return pb.Join(
        model="net",
        dataset="digits",
        seed=3,
        num_participants=len(EVERYONE),
        participant_indices=HOSTILE,
        attack=task,
    )


def crew_of(attack: str) -> HostileParticipants:
    participants = HostileParticipants(NOWHERE)
    participants.prepare(join(attack))
    participants.expect(ORDER)
    return participants


ORDER = pb.TakePart(
    num_scheduled=len(EVERYONE),
    hostile_indices=HOSTILE,
    benign_indices=[i for i in EVERYONE if i not in HOSTILE],
)


def model(value: float) -> np.ndarray:
    return np.full(NET, value, np.float32)


def crafted(
    participants: HostileParticipants,
    weights: np.ndarray,
    indices: list[int],
    round_number: int = 1,
):
    blocks = list(participants.updates(round_number, weights, indices))
    assert [update.index for block in blocks for update in block] == indices
    return [update for block in blocks for update in block]


def test_it_says_which_attack_and_what_it_may_know():
    participants = HostileParticipants(NOWHERE)
    method = participants.prepare(join("mpaf:scale=2"))
    assert method.startswith("mpaf:scale=2.0")
    assert "the broadcast model only" in method
    assert participants.size == NET


@pytest.mark.parametrize("name", attacks.names())
def test_every_attack_crafts_for_everyone_and_leaves_the_model_alone(name):
    participants, weights = crew_of(name), model(0.5)
    trained = attacks.create(name).knows is not Knowledge.NONE
    for round_number in (1, 2, 3):
        found = crafted(participants, weights, HOSTILE, round_number)
        for update in found:
            assert update.delta.shape == (NET,)
            assert update.delta.dtype == np.float32
            assert update.delta.flags.c_contiguous
            claimed = (4, 2) if trained else attacks.create(name).claim([update.index])
            assert (update.num_samples, update.num_steps) == claimed
    np.testing.assert_array_equal(weights, model(0.5))


@pytest.mark.parametrize("name", attacks.names())
def test_who_hosts_a_participant_changes_nothing(name):
    rounds = [(1, model(0.5)), (2, model(0.25))]
    together = [
        crafted(participants, w, HOSTILE, t) for participants in [crew_of(name)] for t, w in rounds
    ]
    apart = [
        crafted(participants, w, [4, 17], t) for participants in [crew_of(name)] for t, w in rounds
    ]
    for everyone, two in zip(together, apart, strict=True):
        deltas = {update.index: update.delta for update in everyone}
        for update in two:
            np.testing.assert_array_equal(update.delta, deltas[update.index])


@pytest.mark.parametrize("name", attacks.names())
def test_who_is_not_drawn_remembers_the_round_all_the_same(name):
    """What the drawn send later does not depend on who of their worker was drawn before."""
    steps = np.linspace(-1, 1, NET, dtype=np.float32)
    seen = [model(0.5), model(0.25) + steps / 8, model(0.25) - steps / 4]
    drawn, passed_over = crew_of(name), crew_of(name)
    for number, weights in enumerate(seen[:-1], start=1):
        crafted(drawn, weights, [4, 17], number)
        passed_over.observe(number, weights)
    for one, other in zip(
        crafted(drawn, seen[-1], [4, 17], 3),
        crafted(passed_over, seen[-1], [4, 17], 3),
        strict=True,
    ):
        np.testing.assert_array_equal(one.delta, other.delta)


class Witness(Attack):
    """Remembers what it was handed."""

    def __init__(self) -> None:
        self.seen: list[Broadcast] = []

    def craft(self, broadcast, participants):
        self.seen.append(broadcast)
        return broadcast.model.expand(len(participants), -1)


@pytest.fixture
def witness(monkeypatch) -> tuple[HostileParticipants, Witness]:
    witness = Witness()
    participants = crew_of("mpaf")
    participants._attack = witness
    return participants, witness


Play = Callable[[int, float], Broadcast]


@pytest.fixture
def play(witness) -> Play:
    """Do a round with a model of one value; returns what the attack saw."""
    participants, attack = witness

    def one_round(round_number: int, value: float) -> Broadcast:
        crafted(participants, model(value), [0], round_number)
        return attack.seen[-1]

    return one_round


def test_it_sees_what_any_participant_sees(play):
    seen = play(1, 0.5)
    assert (seen.round_number, seen.architecture, seen.seed) == (1, "net", 3)
    assert seen.model.tolist() == [0.5] * NET
    assert seen.previous is None, "nothing came before"
    assert (seen.own, seen.benign) == (None, None), "fakes know nobody's updates"
    assert (seen.hostile, seen.benign_indices, seen.participants) == ((), (), 0), "nor who is there"
    assert seen.rule == "", "nor what defends"


def test_the_previous_model_is_that_of_the_last_round_it_took_part_in(play):
    play(1, 1.0)
    assert float(play(2, 2.0).previous[0]) == 1.0
    assert float(play(3, 3.0).previous[0]) == 2.0
    assert float(play(7, 7.0).previous[0]) == 3.0, "it missed some"


def test_a_round_that_it_only_looked_at_was_a_round(witness, play):
    play(1, 1.0)
    witness[0].observe(2, model(2.0))
    assert float(play(3, 3.0).previous[0]) == 2.0


def test_nobody_hostile_drawn_is_nothing_to_go_by():
    """Whoever goes by hostile participants' updates waits for a round that has some."""
    participants = crew_of("mimic")
    participants.expect(pb.TakePart(num_scheduled=2, benign_indices=[0, 2]))
    participants.observe(1, model(0.5))


def test_a_round_told_twice_is_one_round(play):
    play(1, 1.0)
    play(2, 2.0)
    assert float(play(2, 2.0).previous[0]) == 1.0
    assert float(play(3, 3.0).previous[0]) == 2.0


def test_the_first_round_told_twice_has_nothing_before(play):
    play(1, 1.0)
    assert play(1, 1.0).previous is None


def test_many_are_crafted_block_by_block(witness):
    participants, attack = witness
    blocks = list(participants.updates(1, model(0.5), list(range(200))))
    assert [len(block) for block in blocks] == [64, 64, 64, 8]
    assert len(attack.seen) == 4


@pytest.mark.parametrize(
    ("attack", "words"),
    [("mpfa", "mpaf"), ("mpaf:scale=-1", "-1"), ("mpaf:skale=1", "scale"), ("", "There are")],
)
def test_an_attack_that_cannot_be_read_is_named(attack, words):
    with pytest.raises(InvalidValue, match=words):
        HostileParticipants(NOWHERE).prepare(join(attack))


@pytest.mark.parametrize("name", ["mpaf", "forged-metadata"])
def test_a_base_model_that_is_not_there_is_missed_before_the_first_round(name, tmp_path):
    """Not in every round, where it would look as if the attack had done no harm."""
    with pytest.raises(MissingData, match=r"absent\.safetensors"):
        HostileParticipants(NOWHERE).prepare(join(f"{name}:base={tmp_path / 'absent.safetensors'}"))


def test_a_model_that_does_not_exist_is_named():
    assignment = join("mpaf")
    assignment.model = "nett"
    with pytest.raises(InvalidValue, match="net"):
        HostileParticipants(NOWHERE).prepare(assignment)


@pytest.mark.parametrize(
    ("attack", "bound"),
    [("label-flip", None), ("badnets", None), ("model-replacement", None), ("sign-flip", 1e-3)],
)
def test_who_poisons_does_not_clip_itself(attack, bound):
    """Honest participants clip themselves; so do those who turn what an honest one would send."""
    told = join(attack)
    told.attack.training.settings["clip"] = 1e-3
    clipped = HostileParticipants(NOWHERE)
    clipped.prepare(told)
    clipped.expect(ORDER)
    for update, free in zip(
        crafted(clipped, model(0.02), HOSTILE),
        crafted(crew_of(attack), model(0.02), HOSTILE),
        strict=True,
    ):
        assert np.linalg.norm(free.delta) > 2e-3
        if bound is None:
            np.testing.assert_array_equal(update.delta, free.delta)
        else:
            assert np.linalg.norm(update.delta) == pytest.approx(bound, rel=1e-4)


def test_who_is_nobody_special_claims_nothing_special():
    special = [name for name in attacks.names() if attacks.create(name).claim([0]) != (1, 1)]
    assert special == ["forged-metadata"]


def test_an_attack_with_a_memory_goes_on_where_it_ended_and_a_round_told_twice_counts_once():
    once, twice = crew_of("poisonedfl"), crew_of("poisonedfl")
    models = [model(0.0), model(1.0), np.linspace(0, 3, NET, dtype=np.float32)]
    ends = []
    for participants, repeats in ((once, 1), (twice, 2)):
        for number, weights in enumerate(models, start=1):
            for _ in range(repeats):
                ends.append(crafted(participants, weights, [2, 3], number))
    last_once, last_twice = ends[2][0].delta, ends[-1][0].delta
    np.testing.assert_array_equal(last_once, last_twice)
    fresh = crafted(crew_of("poisonedfl"), models[2], [2, 3], 3)[0].delta
    assert not np.array_equal(fresh, last_once)


class Informed(CompromisedAttack):
    """An attack by compromised participants that says what it was handed."""

    name = "informed"
    seen: Broadcast

    def craft(self, broadcast, participants):
        Informed.seen = broadcast
        return broadcast.own_of(participants)


@pytest.mark.parametrize("knowledge", ["partial", "full"])
def test_an_attack_is_handed_what_its_knowledge_entitles_it_to(knowledge):
    participants = crew_of("mpaf")
    assert participants._training is None, "fakes hold no data"
    participants = HostileParticipants(NOWHERE)
    with mock.patch.object(attacks, "parse", return_value=Informed(knowledge=knowledge)):
        participants.prepare(join("mpaf"))
    participants.expect(ORDER)
    weights = models.initial_weights("net", "random", "digits", 0)[0].numpy()
    sent = crafted(participants, weights, [4, 9])
    seen = Informed.seen
    assert seen.hostile == tuple(HOSTILE)
    assert seen.own is not None
    assert seen.own.shape == (len(HOSTILE), NET)
    np.testing.assert_array_equal(sent[0].delta, seen.own[1].numpy())
    if knowledge == "partial":
        assert seen.benign is None
        assert seen.benign_indices == ()
        assert seen.rule == ""
        return
    assert seen.benign_indices == tuple(ORDER.benign_indices)
    assert seen.rule == "median"
    honest = BenignParticipants(NOWHERE)
    assignment = join("mpaf")
    assignment.participant_indices[:] = ORDER.benign_indices
    assignment.training.CopyFrom(TRAINING)
    honest.prepare(assignment)
    told = np.stack(
        [one.delta for block in honest.updates(1, weights, ORDER.benign_indices) for one in block]
    )
    np.testing.assert_allclose(seen.benign.numpy(), told, rtol=1e-4, atol=1e-7)


@dataclass(frozen=True)
class Darkening(PoisoningAttack):
    """Trains on black images."""

    name = "darkening"

    def poison(self, shard, participant, seed):
        return Shard(torch.full_like(shard.images, -1.0), shard.labels)


def test_a_poisoner_trains_on_what_it_poisoned():
    participants = HostileParticipants(NOWHERE)
    with mock.patch.object(attacks, "parse", return_value=Darkening()):
        participants.prepare(join("mpaf"))
    participants.expect(ORDER)
    weights = models.initial_weights("net", "random", "digits", 0)[0].numpy()
    [first, *_] = crafted(participants, weights, HOSTILE)
    kernel = models.layout("net")[0]
    assert kernel[0].endswith("weight")
    moved = first.delta[:25]
    np.testing.assert_allclose(moved, moved[0], rtol=1e-3, err_msg="all pixels are the same")
    assert np.abs(first.delta).max() > 0
