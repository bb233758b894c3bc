"""Federations whose participants protect their updates, over the wire."""

import numpy as np
import pytest
import torch

from fedsiege import privacy, seeding
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.privacy import Release
from fedsiege.results import RunRecords
from fedsiege.results.run import Run
from fedsiege.training.hosted import LocalTraining
from fedsiege.training.optimiser import LocalSGD
from tests.federation.conftest import DATA

LDP = "ldp:epsilon=50,delta=1e-5,clip=0.02"


def spec_of(**settings: object) -> ExperimentSpec:
    common = {"dataset": "digits", "clients": 6, "rounds": 2, "attack": 0, "privacy": LDP}
    return ExperimentSpec.of({**common, **settings})


async def test_each_update_is_clipped_and_noised_before_it_is_sent(town):
    spec = spec_of(clients=3)
    outcome = await town.run(spec, clients=[2, 1])
    mechanism = privacy.parse(LDP)
    assert mechanism is not None
    training = LocalTraining(
        *("net", "digits", DATA, spec.partition, spec.samples, 3, spec.seed), LocalSGD()
    )
    training.prepare([0, 1, 2])
    for number, before in enumerate(outcome.models[:-1], start=1):
        sent = []
        for some, rows in training.updates(number, torch.from_numpy(before), [0, 1, 2]):
            for index, row in zip(some, rows, strict=True):
                random = seeding.generator(spec.seed, "local privacy", number, index)
                sent.append(mechanism.protect(row, random))
        mean = torch.stack(sent).mean(0).numpy()
        np.testing.assert_allclose(outcome.models[number] - before, mean, atol=1e-5)


async def test_the_aggregator_is_not_told_the_seed_of_the_noise(town):
    for settings in ({}, {"privacy": ""}):
        spec = spec_of(seed=2**63 + 11, init="pretrained", **settings)
        outcome = await town.run(spec, clients=[6])
        federation = town.aggregator._find(outcome.experiment.federation_id)
        if spec.privacy:
            assert federation.spec.seed == seeding.derived(spec.seed, "aggregator") != spec.seed
        else:
            assert federation.spec.seed == spec.seed


async def test_the_budget_is_in_the_history_and_the_same_run_is_the_same(town):
    outcomes = [await town.run(spec_of(participation=0.5), [6 - n, n]) for n in (0, 2)]
    runs = [RunRecords.read(outcome.folder) for outcome in outcomes]
    assert np.array_equal(outcomes[0].models[-1], outcomes[1].models[-1])
    mechanism = privacy.parse(LDP)
    assert mechanism is not None
    spent = [row.epsilon for row in runs[0].history]
    assert spent[:2] == [0, pytest.approx(50, abs=1e-5)]
    # Three of six are drawn in each round: in the second, one may be there again.
    again = mechanism.release.epsilon(2)
    assert spent[2] in (pytest.approx(50, abs=1e-5), pytest.approx(again, abs=1e-5))
    assert [row.epsilon for row in runs[1].history] == spent


async def test_a_run_ends_before_its_budget_is_exceeded(town):
    release = privacy.parse(LDP).release
    limit = (release.epsilon(2) + release.epsilon(3)) / 2
    outcome = await town.run(spec_of(rounds=5, stop_at_epsilon=limit), clients=[6])
    assert [entry.round for entry in outcome.history] == [0, 1, 2]
    note = next(one for one in outcome.experiment.notes if "STOP_AT_EPSILON" in one)
    assert note.startswith("ended before round 3, which would bring the privacy budget to epsilon=")
    assert RunRecords.read(outcome.folder).history[-1].epsilon == pytest.approx(release.epsilon(2))


async def test_attackers_that_train_protect_their_updates_only_where_it_is_said(town):
    """With sign-flip, whose update is -5 times that of its own training."""
    norms = {}
    for hostile in ("False", "True"):
        spec = spec_of(attack=0.5, attack_name="sign-flip", privacy=f"{LDP},hostile={hostile}")
        outcome = await town.run(spec, clients=[3], attackers=[3])
        rows = Run(outcome.folder).participants.query("round == 1")
        norms[hostile] = {kind: rows[rows.hostile == kind].norm.tolist() for kind in (0, 1)}
    noise = privacy.parse(LDP).deviation * 13_106**0.5
    assert min(norms["False"][0]) == pytest.approx(noise, rel=0.05)
    assert max(norms["False"][1]) < 0.5 * noise
    assert min(norms["True"][1]) > 0.9 * noise


async def test_a_central_budget_is_reported_and_audited_rounds_have_none(town):
    rule = "dp-fedavg:clip=0.1,noise=2"
    outcome = await town.run(spec_of(privacy="", rule=rule), clients=[6])
    spent = [row.epsilon for row in RunRecords.read(outcome.folder).history]
    expected = [Release(1.0, 1e-5).epsilon(times) for times in range(3)]
    assert spent == pytest.approx(expected, abs=1e-5)
    outcome = await town.run(spec_of(privacy="", rule=rule, audit="norm"))
    assert [row.epsilon for row in RunRecords.read(outcome.folder).history] == [None] * 3
    assert any("no privacy budget with AUDIT" in one for one in outcome.experiment.notes)


async def test_unequal_local_work_is_what_participants_report(town):
    """FedNova over it is the mean of the updates per step, times the mean number of steps."""
    spec = spec_of(
        clients=4, privacy="", rule="fednova", momentum=0, lr=0.05, epochs="1-4", prox=0.5
    )
    outcome = await town.run(spec, clients=[4])
    solver = LocalSGD(0.05, 0.0, epochs=4, proximal=0.5)
    training = LocalTraining(
        *("net", "digits", DATA, spec.partition, spec.samples, 4, spec.seed),
        solver,
        least_epochs=1,
    )
    training.prepare([0, 1, 2, 3])
    seen = set()
    for number, before in enumerate(outcome.models[:-1], start=1):
        taus = np.array([training.steps(index, number) for index in range(4)], float)
        seen.update(taus.tolist())
        blocks = training.updates(number, torch.from_numpy(before), [0, 1, 2, 3])
        deltas = torch.cat([rows for _, rows in blocks]).double().numpy()
        work = (1 - (1 - 0.05 * 0.5) ** taus) / (0.05 * 0.5)
        expected = taus.mean() * (deltas / work[:, None]).mean(0)
        np.testing.assert_allclose(outcome.models[number] - before, expected, atol=1e-6)
    assert seen <= {1.0, 2.0, 3.0, 4.0}
    assert len(seen) > 1
