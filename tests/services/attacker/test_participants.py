"""Hostile participants: they craft from what their attack may know, and from nothing else."""

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
from fedsiege.services.attacker.participants import HostileParticipants
from fedsiege.services.client.participants import BenignParticipants
from fedsiege.services.rpc import settings
from fedsiege.training.base import Shard
from fedsiege.v1 import simulator_pb2 as pb

NET = 13_106


NOWHERE = Path("nowhere")
ALL = range(20)
HOSTILE = [1, 4, 9, 17]
SETTINGS = {"lr": 0.01, "momentum": 0, "epochs": 1, "batch": 2, "trainer": "cohort"}
TRAINING = pb.TrainingTask(settings=settings.of(SETTINGS))


def join(attack: str) -> pb.Join:
    task = pb.AttackTask(attack=attack, training=TRAINING, rule="median")
    return pb.Join(
        model="net",
        dataset="digits",
        seed=3,
        num_participants=len(ALL),
        participant_indices=HOSTILE,
        attack=task,
    )


def hosted(attack: str) -> HostileParticipants:
    participants = HostileParticipants(NOWHERE)
    participants.prepare(join(attack))
    participants.expect(ORDER)
    return participants


ORDER = pb.TakePart(
    num_scheduled=len(ALL),
    hostile_indices=HOSTILE,
    benign_indices=[i for i in ALL if i not in HOSTILE],
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


def test_the_method_names_the_attack_and_what_it_knows():
    participants = HostileParticipants(NOWHERE)
    method = participants.prepare(join("mpaf:scale=2"))
    assert method.startswith("mpaf:scale=2.0")
    assert "the broadcast model only" in method
    assert participants.size == NET


@pytest.mark.parametrize("name", attacks.names())
def test_every_attack_crafts_for_all_and_does_not_change_the_model(name):
    participants, weights = hosted(name), model(0.5)
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
def test_updates_do_not_depend_on_the_worker(name):
    rounds = [(1, model(0.5)), (2, model(0.25))]
    together = [
        crafted(participants, w, HOSTILE, t) for participants in [hosted(name)] for t, w in rounds
    ]
    apart = [
        crafted(participants, w, [4, 17], t) for participants in [hosted(name)] for t, w in rounds
    ]
    for all_updates, two in zip(together, apart, strict=True):
        deltas = {update.index: update.delta for update in all_updates}
        for update in two:
            np.testing.assert_array_equal(update.delta, deltas[update.index])


@pytest.mark.parametrize("name", attacks.names())
def test_a_worker_without_scheduled_participants_remembers_the_round(name):
    """Later updates do not depend on which participants of a worker were scheduled before."""
    steps = np.linspace(-1, 1, NET, dtype=np.float32)
    seen = [model(0.5), model(0.25) + steps / 8, model(0.25) - steps / 4]
    scheduled, idle = hosted(name), hosted(name)
    for number, weights in enumerate(seen[:-1], start=1):
        crafted(scheduled, weights, [4, 17], number)
        idle.observe(number, weights)
    for one, other in zip(
        crafted(scheduled, seen[-1], [4, 17], 3),
        crafted(idle, seen[-1], [4, 17], 3),
        strict=True,
    ):
        np.testing.assert_array_equal(one.delta, other.delta)


class RecordingAttack(Attack):
    """An attack that records every broadcast it gets."""

    def __init__(self) -> None:
        self.seen: list[Broadcast] = []

    def craft(self, broadcast, participants):
        self.seen.append(broadcast)
        return broadcast.model.expand(len(participants), -1)


@pytest.fixture
def recording(monkeypatch) -> tuple[HostileParticipants, RecordingAttack]:
    recording = RecordingAttack()
    participants = hosted("mpaf")
    participants._attack = recording
    return participants, recording


RunRound = Callable[[int, float], Broadcast]


@pytest.fixture
def run_round(recording) -> RunRound:
    """Run a round with a model of one value; return the broadcast that the attack got."""
    participants, attack = recording

    def one_round(round_number: int, value: float) -> Broadcast:
        crafted(participants, model(value), [0], round_number)
        return attack.seen[-1]

    return one_round


def test_a_fake_client_knows_only_the_broadcast(run_round):
    seen = run_round(1, 0.5)
    assert (seen.round_number, seen.architecture, seen.seed) == (1, models.Classifier("net"), 3)
    assert seen.model.tolist() == [0.5] * NET
    assert seen.previous is None, "the first round"
    assert (seen.own, seen.benign) == (None, None), "fake clients know no updates"
    assert (seen.hostile, seen.benign_indices, seen.participants) == ((), (), 0), (
        "nor the participants"
    )
    assert seen.rule == "", "nor the rule"


def test_the_previous_model_is_that_of_the_last_round_seen(run_round):
    run_round(1, 1.0)
    assert float(run_round(2, 2.0).previous[0]) == 1.0
    assert float(run_round(3, 3.0).previous[0]) == 2.0
    assert float(run_round(7, 7.0).previous[0]) == 3.0, "some rounds were missed"


def test_an_observed_round_counts_as_seen(recording, run_round):
    run_round(1, 1.0)
    recording[0].observe(2, model(2.0))
    assert float(run_round(3, 3.0).previous[0]) == 2.0


def test_a_round_without_hostile_participants_is_skipped():
    """An attack that needs the updates of hostile participants waits for a round with some."""
    participants = hosted("mimic")
    participants.expect(pb.TakePart(num_scheduled=2, benign_indices=[0, 2]))
    participants.observe(1, model(0.5))


def test_a_repeated_round_counts_once(run_round):
    run_round(1, 1.0)
    run_round(2, 2.0)
    assert float(run_round(2, 2.0).previous[0]) == 1.0
    assert float(run_round(3, 3.0).previous[0]) == 2.0


def test_a_repeated_first_round_has_no_previous_model(run_round):
    run_round(1, 1.0)
    assert run_round(1, 1.0).previous is None


def test_many_updates_are_crafted_in_blocks(recording):
    participants, attack = recording
    blocks = list(participants.updates(1, model(0.5), list(range(200))))
    assert [len(block) for block in blocks] == [64, 64, 64, 8]
    assert len(attack.seen) == 4


@pytest.mark.parametrize(
    ("attack", "words"),
    [("mpfa", "mpaf"), ("mpaf:scale=-1", "-1"), ("mpaf:skale=1", "scale"), ("", "There are")],
)
def test_an_invalid_attack_is_named(attack, words):
    with pytest.raises(InvalidValue, match=words):
        HostileParticipants(NOWHERE).prepare(join(attack))


@pytest.mark.parametrize("name", ["mpaf", "forged-metadata"])
def test_a_missing_base_model_is_found_before_the_first_round(name, tmp_path):
    """Otherwise it would fail in every round, as if the attack did no harm."""
    with pytest.raises(MissingData, match=r"absent\.safetensors"):
        HostileParticipants(NOWHERE).prepare(join(f"{name}:base={tmp_path / 'absent.safetensors'}"))


def test_an_unknown_model_is_named():
    assignment = join("mpaf")
    assignment.model = "nett"
    with pytest.raises(InvalidValue, match="net"):
        HostileParticipants(NOWHERE).prepare(assignment)


@pytest.mark.parametrize(
    ("attack", "bound"),
    [("label-flip", None), ("badnets", None), ("model-replacement", None), ("sign-flip", 1e-3)],
)
def test_poisoned_training_is_not_clipped(attack, bound):
    """Attacks that alter an honest update start from a clipped one; data poisoning does not."""
    clipping = join(attack)
    clipping.attack.training.settings["clip"] = 1e-3
    clipped = HostileParticipants(NOWHERE)
    clipped.prepare(clipping)
    clipped.expect(ORDER)
    for update, free in zip(
        crafted(clipped, model(0.02), HOSTILE),
        crafted(hosted(attack), model(0.02), HOSTILE),
        strict=True,
    ):
        assert np.linalg.norm(free.delta) > 2e-3
        if bound is None:
            np.testing.assert_array_equal(update.delta, free.delta)
        else:
            assert np.linalg.norm(update.delta) == pytest.approx(bound, rel=1e-4)


def test_only_forged_metadata_claims_false_counts():
    special = [name for name in attacks.names() if attacks.create(name).claim([0]) != (1, 1)]
    assert special == ["forged-metadata"]


def test_an_attack_with_state_goes_on_and_a_repeated_round_counts_once():
    once, twice = hosted("poisonedfl"), hosted("poisonedfl")
    models = [model(0.0), model(1.0), np.linspace(0, 3, NET, dtype=np.float32)]
    ends = []
    for participants, repeats in ((once, 1), (twice, 2)):
        for number, weights in enumerate(models, start=1):
            for _ in range(repeats):
                ends.append(crafted(participants, weights, [2, 3], number))
    last_once, last_twice = ends[2][0].delta, ends[-1][0].delta
    np.testing.assert_array_equal(last_once, last_twice)
    fresh = crafted(hosted("poisonedfl"), models[2], [2, 3], 3)[0].delta
    assert not np.array_equal(fresh, last_once)


class Informed(CompromisedAttack):
    """An attack by compromised participants that records what it gets."""

    name = "informed"
    seen: Broadcast

    def craft(self, broadcast, participants):
        Informed.seen = broadcast
        return broadcast.own_of(participants)


@pytest.mark.parametrize("knowledge", ["partial", "full"])
def test_an_attack_gets_what_it_may_know_and_no_more(knowledge):
    participants = hosted("mpaf")
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
    honest_updates = np.stack(
        [one.delta for block in honest.updates(1, weights, ORDER.benign_indices) for one in block]
    )
    np.testing.assert_allclose(seen.benign.numpy(), honest_updates, rtol=1e-4, atol=1e-7)


@dataclass(frozen=True)
class Darkening(PoisoningAttack):
    """Trains on black images."""

    name = "darkening"

    def poison(self, shard, participant, seed, domain):
        return Shard(torch.full_like(shard.images, -1.0), shard.labels)


def test_data_poisoning_trains_on_the_poisoned_samples():
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
