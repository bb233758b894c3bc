"""Attacks by those who hold data, shares of participants and absentees, over the real wire."""

import csv

import numpy as np
import pytest

from fedsiege.experiment.spec import ExperimentSpec

DIGITS = {"dataset": "digits", "clients": 10, "rounds": 3, "attack": 0.3, "trainer": "cohort"}


def spec_of(**settings: object) -> ExperimentSpec:
    return ExperimentSpec.of({**DIGITS, **settings})


def table(folder, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


async def test_a_backdoor_is_measured_in_every_round(town):
    spec = spec_of(attack_name="badnets:boost=4,concentration=0.5", samples=20, lr=0.01, rounds=4)
    outcome = await town.run(spec, clients=[7], attackers=[3])
    rates = [float(row["asr"]) for row in table(outcome.folder, "history.csv")]
    assert len(rates) == 5
    assert rates[0] < 0.2, "nobody has taught it yet"
    assert rates[-1] > 0.5


async def test_without_an_attack_the_base_rate_is_measured(town):
    spec = spec_of(attack=0, attack_name="badnets", samples=20, lr=0.01)
    outcome = await town.run(spec, clients=[10])
    rates = [float(row["asr"]) for row in table(outcome.folder, "history.csv")]
    assert len(rates) == 4
    assert max(rates) < 0.2


async def test_without_a_target_there_is_no_success_rate(town):
    outcome = await town.run(spec_of(attack_name="ipm"), clients=[7], attackers=[3])
    assert {row["asr"] for row in table(outcome.folder, "history.csv")} == {""}


async def test_who_knows_everything_sends_what_the_benign_updates_make_of_it(town):
    spec = spec_of(attack_name="ipm:knowledge=full,eps=3", rounds=1)
    attacked = await town.run(spec, clients=[7], attackers=[1, 2])
    clean = await town.run(spec.model_copy(update={"attack_name": "absent"}))
    step = clean.models[-1] - clean.models[0]
    # seven benign with mean m, three that send -3m: (7 - 9) / 10 of it
    np.testing.assert_allclose(
        attacked.models[-1] - attacked.models[0], -0.2 * step, rtol=1e-3, atol=1e-6
    )


async def test_those_who_hold_data_send_the_same_however_many_workers_host_them(town):
    spec = spec_of(attack_name="alie", rounds=2)
    whole = await town.run(spec, clients=[7], attackers=[3])
    split = await town.run(spec, clients=[3, 2, 2], attackers=[1, 1, 1])
    assert whole.accuracies == pytest.approx(split.accuracies, abs=0.01)
    np.testing.assert_allclose(whole.models[-1], split.models[-1], rtol=1e-3, atol=1e-5)


async def test_the_absent_leave_the_benign_as_they_are(town):
    spec = spec_of(attack_name="absent")
    outcome = await town.run(spec, clients=[7])
    assert [entry.updates for entry in outcome.history] == [0, 7, 7, 7]
    assert not outcome.experiment.hostile_indices


async def test_a_share_of_the_participants_takes_part(town):
    spec = spec_of(participation=0.5, attack_name="random")
    outcome = await town.run(spec, clients=[7], attackers=[3])
    assert [entry.updates for entry in outcome.history] == [0, 5, 5, 5]
    scheduled = [
        tuple(
            row["index"]
            for row in table(outcome.folder, "participants.csv")
            if row["round"] == str(number) and row["outcome"] != "not_scheduled"
        )
        for number in (1, 2, 3)
    ]
    assert [len(indices) for indices in scheduled] == [5, 5, 5]
    assert len(set(scheduled)) > 1


async def test_who_is_hostile_is_drawn_once(town):
    """Those who send noise, of norm 114, are in every round the ones of whom it was said before."""
    spec = spec_of(participation=0.5, attack_name="random", rounds=5)
    outcome = await town.run(spec, clients=[7], attackers=[3])
    sent = [row for row in table(outcome.folder, "participants.csv") if row["norm"]]
    assert {row["round"] for row in sent} == set("12345")
    for row in sent:
        hostile = int(row["index"]) in outcome.experiment.hostile_indices
        assert (float(row["norm"]) > 100) == hostile == (row["hostile"] == "true")


async def test_what_is_poisoned_is_the_same_whether_or_not_a_detector_looks(town):
    """Seen elsewhere: a detector's path through the code shuffled the poisoned samples anew."""
    spec = spec_of(attack_name="label-flip:kind=random,concentration=0.5", samples=20, lr=0.01)
    plain = await town.run(spec, clients=[7], attackers=[3])
    watched = spec.model_copy(update={"audit": "norm:z=1000/history:z=1000,reverse=1/layers"})
    audited = await town.run(watched)
    assert {row["quarantined"] for row in table(audited.folder, "history.csv")} == {"0"}
    assert len(table(audited.folder, "detectors.csv")) == 3 * 3 * 10, "it did look"
    for one, other in zip(plain.models, audited.models, strict=True):
        np.testing.assert_array_equal(one, other)


async def test_a_flood_of_identities_takes_turns(town):
    spec = spec_of(attack_name="flooding:identities=2")
    outcome = await town.run(spec, clients=[7], attackers=[6])
    assert [entry.updates for entry in outcome.history] == [0, 10, 10, 10]
    assert len(outcome.experiment.hostile_indices) == 6
    took_part = [
        {
            int(row["index"])
            for row in table(outcome.folder, "participants.csv")
            if row["round"] == str(number) and row["hostile"] == "true" and row["norm"]
        }
        for number in (1, 2, 3)
    ]
    assert took_part[0] == took_part[2]
    assert not took_part[0] & took_part[1]


async def test_clients_that_clip_hold_themselves_back(town):
    spec = spec_of(attack=0, clip=1e-3, rounds=1, lr=0.1, init="random", seed=1)
    outcome = await town.run(spec, clients=[10])
    norms = [float(row["norm"]) for row in table(outcome.folder, "participants.csv")]
    assert norms == pytest.approx([1e-3] * 10, rel=1e-4)
