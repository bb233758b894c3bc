"""Rounds without a deadline: the speed of the machine decides nothing, and no round hangs."""

import asyncio
import csv
from collections.abc import Iterator, Sequence

import pytest

from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import ResultsFolder
from fedsiege.services.client.participants import BenignParticipants
from fedsiege.services.rpc.history_rows import row_of
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.simulator import assignment
from fedsiege.services.simulator import experiment as running
from fedsiege.services.worker.submitting import Update
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb
from tests.federation.conftest import DATA, until

SPEC = ExperimentSpec(clients=6, attack=0.34, rounds=2, dataset="digits", samples=4, trainer="loop")
HOSTILE, HONEST = 2, 4


class FailingCrew(BenignParticipants):
    """Benign participants whose training fails in round 1."""

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        if round_number == 1:
            raise RuntimeError("out of memory")
        return super().updates(round_number, weights, indices)


class StuckCrew(BenignParticipants):
    """Benign participants that never have an update."""

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        for block in super().updates(round_number, weights, indices):
            yield block[:0]


async def start(town, folder: ResultsFolder):
    return await town.simulator.start(resolve(SPEC, deadline=None), "", folder)


async def ended(experiment) -> pb.Experiment:
    async with asyncio.timeout(30):
        async for event in experiment.watch():
            last = event
    return last.experiment


async def test_a_local_run_states_no_deadline_and_servers_have_one() -> None:
    assert resolve(SPEC, deadline=None).spec.deadline is None
    assert resolve(SPEC).spec.deadline == 30
    assert resolve(SPEC.model_copy(update={"deadline": 2.0}), deadline=None).spec.deadline == 2


async def test_a_worker_that_fails_closes_the_round_and_is_counted(town, tmp_path) -> None:
    town.hire("a-client", 2)
    town.hire("b-client", 2, lambda: FailingCrew(DATA))
    town.hire("attacker", HOSTILE, kind=pb.WORKER_KIND_ATTACKER)
    folder = ResultsFolder(tmp_path / "run")
    described = await ended(await start(town, folder))
    assert described.state == pb.EXPERIMENT_STATE_FINISHED, described.problem
    _, first, second = described.historical_accuracy
    assert first.close_reason == data_pb.CLOSE_REASON_EVERYONE_HEARD
    assert (first.updates, second.updates) == (4, 6)
    figures = row_of(described.rows[1])
    assert (figures.expected, figures.missing_honest, figures.missing_hostile) == (6, 2, 0)
    assert figures.hostile_share == 0.5
    assert row_of(described.rows[2]).missing_honest == 0
    with (folder.path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("close_reason", "expected", "missing_honest", "missing_hostile", "hostile_share")
    assert [rows[1][name] for name in columns] == ["everyone_heard", "6", "2", "0", "0.5"]
    assert [rows[0][name] for name in columns] == [""] * 5


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_a_worker_that_is_gone_or_sends_too_little_closes_the_round(
    town, tmp_path, monkeypatch, how
) -> None:
    monkeypatch.setattr(assignment, "REATTACH_TIMEOUT", 0.2)
    stuck = asyncio.Event()

    class Waiting(StuckCrew):
        def updates(self, *arguments) -> Iterator[list[Update]]:
            loop.call_soon_threadsafe(stuck.set)
            if how == "silent":
                return iter([])
            return super().updates(*arguments)

    loop = asyncio.get_running_loop()
    town.hire("a-client", 2)
    town.hire("b-client", 2, lambda: Waiting(DATA))
    town.hire("attacker", HOSTILE, kind=pb.WORKER_KIND_ATTACKER)
    experiment = await start(town, ResultsFolder(tmp_path / "run"))
    if how == "gone":
        await asyncio.wait_for(stuck.wait(), 30)
        await town.dismiss("b-client")
    described = await ended(experiment)
    assert described.state == pb.EXPERIMENT_STATE_FINISHED, described.problem
    assert row_of(described.rows[1]).missing_honest == 2
    assert described.historical_accuracy[1].updates == 4


async def test_a_worker_that_leaves_before_it_is_assigned_is_waited_for(
    town, tmp_path, monkeypatch
):
    creation = running.RemoteFederation.create

    async def create(*arguments):
        made = await creation(*arguments)
        await town.dismiss_all()
        return made

    monkeypatch.setattr(running.RemoteFederation, "create", create)
    town.hire("first", HONEST)
    town.hire("fakes", HOSTILE, kind=pb.WORKER_KIND_ATTACKER)
    experiment = await start(town, ResultsFolder(tmp_path / "results"))
    await until(lambda: experiment.federation is not None and "(0 are there)" in experiment.problem)
    town.hire("second", HONEST)
    town.hire("fakes", HOSTILE, kind=pb.WORKER_KIND_ATTACKER)
    described = await ended(experiment)
    assert described.state == pb.EXPERIMENT_STATE_FINISHED, described.problem
    assert len(described.historical_accuracy) == 3
