"""A federation that takes whoever is there, and whoever comes while it runs."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsiege.experiment.hostile import fakes_beside
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.simulator import open_assignment
from fedsiege.services.simulator.experiment import Experiment
from fedsiege.v1 import simulator_pb2 as pb
from tests.federation.conftest import until

ATTACKER = pb.WORKER_KIND_ATTACKER
OPEN = ExperimentSpec(clients=0, dataset="digits", rounds=100_000, deadline=2.0)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.2, 0.29, 0.5, 0.8, 0.99]))
def test_fakes_make_up_the_fraction(benign: int, fraction: float):
    fakes = fakes_beside(benign, fraction)
    assert abs(fakes - (benign + fakes) * fraction) <= 0.5 + 1e-9


def test_a_fifth_beside_eighty_is_twenty():
    assert fakes_beside(80, 0.2) == 20
    assert fakes_beside(4, 0.2) == 1
    assert fakes_beside(1, 0.2) == 0
    assert fakes_beside(7, 0.0) == 0


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(open_assignment, "ARRIVAL_PAUSE", 0.2)


async def start(town, spec: ExperimentSpec) -> Experiment:
    return await town.simulator.start(resolve(spec), "", None)


def last(experiment: Experiment) -> int:
    return experiment.history[-1].updates if experiment.history else -1


async def test_it_starts_when_newcomers_stop_arriving(town):
    experiment = await start(town, OPEN.model_copy(update={"attack": 0.0}))
    for name in "abc":
        town.hire(name, 1)
        await asyncio.sleep(0.05)
    await until(lambda: last(experiment) == 3)
    assert experiment.history[1].updates == 3, "from its first round on"
    await experiment.cancel()


async def test_it_starts_at_once_when_enough_are_there(town, monkeypatch):
    monkeypatch.setattr(open_assignment, "ARRIVAL_PAUSE", 3600.0)
    experiment = await start(town, OPEN.model_copy(update={"attack": 0.0, "min_clients": 2}))
    town.hire("a", 1)
    await asyncio.sleep(0.2)
    assert experiment.state == pb.EXPERIMENT_STATE_WAITING
    assert "2 places" in experiment.problem
    town.hire("b", 1)
    await until(lambda: last(experiment) == 2)
    await experiment.cancel()


async def test_newcomers_take_part_from_the_next_round_on_and_fakes_join_in_proportion(town):
    experiment = await start(town, OPEN)
    town.hire("fakes", 1000, kind=ATTACKER)
    for name in "abcd":
        town.hire(name, 1)
    await until(lambda: last(experiment) == 5)
    assert len(experiment.hostile) == 1
    for name in "efgh":
        town.hire(name, 1)
    await until(lambda: last(experiment) == 10)
    assert len(experiment.hostile) == 2
    assert all(entry.updates in range(5, 11) for entry in experiment.history[1:])
    await experiment.cancel()


async def test_who_leaves_costs_a_round_its_updates_and_nothing_else(town):
    experiment = await start(town, OPEN.model_copy(update={"attack": 0.0, "deadline": 0.5}))
    for name in "abc":
        town.hire(name, 1)
    await until(lambda: last(experiment) == 3)
    await town.dismiss("b")
    await until(lambda: last(experiment) == 2)
    town.hire("b", 1)
    await until(lambda: last(experiment) == 3)
    assert experiment.state == pb.EXPERIMENT_STATE_RUNNING
    federation = town.aggregator._federations[experiment.federation.federation_id]
    assert set(federation.participants.indices()) == {0, 1, 2}, "who comes back has its old index"
    await experiment.cancel()
