"""Benign participants: own samples in an own order, on whatever worker they are hosted."""

from pathlib import Path

import numpy as np
import pytest

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.services.client.participants import BenignParticipants
from fedsiege.services.rpc import settings
from fedsiege.services.worker.submitting import Update
from fedsiege.v1 import simulator_pb2 as pb
from tests.cases import each

NET = 13_106


def join(indices: list[int], **training: object) -> pb.Join:
    return pb.Join(
        experiment_id="e",
        model="net",
        dataset="digits",
        seed=5,
        num_participants=6,
        participant_indices=indices,
        training=pb.TrainingTask(
            settings=settings.of(
                {"samples": 5, "lr": 0.01, "epochs": 2, "batch": 4, "trainer": "cohort", **training}
            )
        ),
    )


def hosted(indices: list[int], **training: object) -> BenignParticipants:
    participants = BenignParticipants(Path("nowhere"))
    participants.prepare(join(indices, **training))
    return participants


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return models.initial_weights("net", "random", "digits", 0)[0].numpy()


def updates(
    participants: BenignParticipants, weights: np.ndarray, indices: list[int], round_number: int = 1
):
    blocks = list(participants.updates(round_number, weights, indices))
    found: list[Update] = [update for block in blocks for update in block]
    assert [update.index for update in found] == indices, "in order, each once"
    return {update.index: update for update in found}


def test_preparing_gives_the_method_and_the_size_of_the_model():
    participants = BenignParticipants(Path("nowhere"))
    method = participants.prepare(join([0, 1]))
    assert "cohort" in method
    assert participants.size == NET
    assert "one by one" in BenignParticipants(Path("nowhere")).prepare(join([0], trainer="loop"))


@pytest.mark.parametrize("trainer", ["cohort", "loop", "auto"])
def test_an_update_is_what_training_changed(weights, trainer):
    participants = hosted([0, 2, 5], trainer=trainer)
    before = weights.copy()
    found = updates(participants, weights, [0, 2, 5])
    np.testing.assert_array_equal(weights, before, err_msg="the global model is not to be changed")
    for update in found.values():
        assert update.delta.shape == (NET,)
        assert update.delta.dtype == np.float32
        assert update.delta.flags.c_contiguous
        assert 0 < np.linalg.norm(update.delta) < 10
        assert update.num_samples == 5
        assert update.num_steps == 4, "two epochs of a batch of four and one of one"
    assert not np.array_equal(found[0].delta, found[2].delta), "each has its own samples"


def test_blocks_are_not_changed_by_the_next_ones(weights):
    participants = hosted(list(range(6)), trainer="loop")
    kept = []
    for block in participants.updates(1, weights, list(range(6))):
        kept += [(update, update.delta.copy()) for update in block]
    for update, copy in kept:
        np.testing.assert_array_equal(update.delta, copy)


@pytest.mark.parametrize("trainer", ["cohort", "loop"])
def test_updates_do_not_depend_on_the_worker(weights, trainer):
    together = updates(hosted(list(range(6)), trainer=trainer), weights, list(range(6)))
    apart = hosted([1, 4], trainer=trainer)
    for index, update in updates(apart, weights, [1, 4]).items():
        np.testing.assert_allclose(update.delta, together[index].delta, rtol=1e-4, atol=1e-7)


def test_an_update_does_not_depend_on_the_others_of_a_call(weights):
    participants = hosted(list(range(6)), trainer="loop")
    all_six = updates(participants, weights, list(range(6)))
    some = updates(participants, weights, [3])
    np.testing.assert_array_equal(some[3].delta, all_six[3].delta)


def test_a_round_can_be_repeated_and_rounds_differ(weights):
    participants = hosted([2], trainer="loop")
    first = updates(participants, weights, [2], 1)[2].delta
    np.testing.assert_array_equal(updates(participants, weights, [2], 1)[2].delta, first)
    assert not np.array_equal(updates(participants, weights, [2], 2)[2].delta, first), (
        "another order"
    )


def test_equal_samples_are_taken_in_different_orders(weights):
    participants = hosted([0, 1], trainer="loop")
    participants._training._shards[1] = participants._training._shards[0]
    found = updates(participants, weights, [0, 1])
    assert not np.array_equal(found[0].delta, found[1].delta)


def test_the_optimiser_is_the_given_one_and_sgd_by_default(weights):
    default, sgd, adam = (
        updates(hosted([2], momentum=0.0, **given), weights, [2])[2].delta
        for given in (
            {},
            {"optimizer": "sgd"},
            {"optimizer": "adam"},
        )
    )
    np.testing.assert_array_equal(default, sgd)
    # Four steps of Adam move no weight by much more than four times the learning rate.
    assert np.abs(adam).max() == pytest.approx(0.04, rel=0.2)
    assert not np.isclose(np.abs(sgd).max(), np.abs(adam).max(), rtol=0.2)


def test_weight_decay_pulls_each_step_towards_zero(weights):
    """``w - lr (g + weight_decay w)``, in the one step that a batch of all samples makes."""
    for optimizer in ("sgd", "adam"):
        one = {"epochs": 1, "batch": 5, "momentum": 0, "optimizer": optimizer}
        plain, decayed = (
            updates(hosted([2], **one, **more), weights, [2])[2].delta
            for more in ({}, {"weight_decay": 0.5})
        )
        if optimizer == "sgd":
            np.testing.assert_allclose(decayed - plain, -0.01 * 0.5 * weights, atol=1e-7)
        assert not np.array_equal(plain, decayed), optimizer


def test_a_participant_that_is_not_hosted_is_an_error(weights):
    with pytest.raises(KeyError):
        list(hosted([0]).updates(1, weights, [1]))


@each(
    ("fields", "training", "words"),
    [
        ({"dataset": "digitz"}, {}, "digits"),
        ({"model": "nett"}, {}, "net"),
        ({}, {"partition": "dirichlet:0"}, "dirichlet"),
        ({}, {"lr": -1.0}, "LR"),
        ({}, {"momentum": 1.5}, "MOMENTUM"),
        ({}, {"optimizer": "rmsprop"}, "OPTIMIZER='rmsprop' is not possible: sgd or adam"),
        ({}, {"optimizer": "adam", "momentum": 0.9}, "MOMENTUM=0.9 is not possible: 0, or unset"),
        ({}, {"trainer": "magic"}, "TRAINER='magic'"),
        ({}, {"weight_decoy": 0.1}, "weight_decoy=0.1 is not possible: there is no such setting"),
    ],
)
def test_an_invalid_assignment_is_named(fields, training, words):
    assignment = join([0], **training)
    for name, value in fields.items():
        setattr(assignment, name, value)
    with pytest.raises(InvalidValue, match=words):
        BenignParticipants(Path("nowhere")).prepare(assignment)
