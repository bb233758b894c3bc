"""Tests of whole experiments over gRPC, with workers that the test controls."""

import asyncio
import csv
import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fedsiege.results import HistoryRow, ResultsFolder, RunInfo, RunRecords, RunState
from fedsiege.results.table import Table
from fedsiege.services.rpc.history_rows import row_of
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from tests.services.simulator.puppets import ATTACKER, gone, until


async def test_an_experiment_from_start_to_results(simulator):
    started = await simulator.start(name="whole")
    watching = [asyncio.create_task(simulator.ended(started.experiment_id)) for _ in range(2)]
    puppets = [
        simulator.puppet().hello("one", 2),
        simulator.puppet().hello("two", 9),
        simulator.puppet().hello("evil", 2, ATTACKER),
    ]
    joins = await asyncio.gather(*(puppet.work(2) for puppet in puppets))
    shares = [list(join.participant_indices) for join in joins]
    assert sorted(shares[0] + shares[1]) == [0, 2, 4]
    assert shares[2] == [1, 3]
    assert joins[2].attack.attack.startswith("mpaf:scale=1.0")

    for events in await asyncio.gather(*watching):
        kinds = [event.WhichOneof("event") for event in events]
        assert kinds[0] == kinds[-1] == "experiment"
        told = [event.entry.round for event in events if event.HasField("entry")]
        before = [entry.round for entry in events[0].experiment.historical_accuracy]
        assert before + told == [0, 1, 2], "each entry once, in order"
        for event in events[1:-1]:
            assert not event.experiment.historical_accuracy
        last = events[-1].experiment
        assert last.state == pb.EXPERIMENT_STATE_FINISHED
        assert [entry.round for entry in last.historical_accuracy] == [0, 1, 2]
    assert last == await simulator.get(started.experiment_id)
    assert "worker evil: as a puppet" in last.notes
    folder = Path(last.results)
    assert folder.parent == simulator.runs
    for name in ("spec.yaml", "history.csv", "accuracy.png", "model.safetensors"):
        assert (folder / name).exists()
    info = RunInfo.read(folder)
    assert (info.state, info.reason, info.notes) == (RunState.FINISHED, "", tuple(last.notes))
    participants = (folder / "participants.csv").read_text().splitlines()
    assert len(participants) == 1 + 2 * 5
    assert all(worker.experiment_id == "" for worker in await simulator.workers())
    running = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    assert "RemoteFederation.follow" not in running
    after = await simulator.ended(started.experiment_id)
    assert [event.experiment for event in after] == [last, last], "as it stands, and as it ended"
    written = HistoryRow.parser(HistoryRow.header())
    lines = list(csv.reader((folder / "history.csv").read_text().splitlines()))[1:]
    assert [row_of(row) for row in last.rows] == [
        replace(written(cells), seconds=row.fields["seconds"].number_value)
        for cells, row in zip(lines, last.rows, strict=True)
    ], "a row that is sent has all that the file has"


@pytest.mark.parametrize(("from_round", "expected"), [(0, [0, 1, 2]), (2, [2]), (7, [])])
async def test_rounds_are_streamed_from_any_on_and_descriptions_have_no_history(
    simulator, from_round, expected
):
    started = await simulator.start()
    assert started.num_recorded == 0
    early = asyncio.create_task(simulator.ended(started.experiment_id, from_round=from_round))
    puppets = [simulator.puppet().hello("one", 3), simulator.puppet().hello("evil", 2, ATTACKER)]
    await asyncio.gather(*(puppet.work(2) for puppet in puppets))
    late = await simulator.ended(started.experiment_id, from_round=from_round)
    for events in (await early, late):
        assert [one.entry.round for one in events if one.HasField("entry")] == expected
        assert [row_of(one.row).round for one in events if one.HasField("entry")] == expected
        described = [one.experiment for one in events if one.HasField("experiment")]
        assert not any(one.rows or one.historical_accuracy for one in described)
        assert described[-1].state == pb.EXPERIMENT_STATE_FINISHED
        assert described[-1].num_recorded == 3
    for method, kind in (
        (simulator.stub.GetExperiment, pb.GetExperimentRequest),
        (simulator.stub.CancelExperiment, pb.CancelExperimentRequest),
    ):
        for without_history in (False, True):
            request = kind(experiment_id=started.experiment_id, without_history=without_history)
            found = (await method(request)).experiment
            assert (len(found.rows), len(found.historical_accuracy)) == (
                (0, 0) if without_history else (3, 3)
            )
            assert found.num_recorded == 3


async def test_a_worker_that_cannot_join_ends_it_with_its_reason(simulator):
    started = await simulator.start(attack=0.0)
    puppet = await simulator.attached("a", 5)
    join = await puppet.hear("join")
    (worker,) = await simulator.workers()
    assert worker.experiment_id == started.experiment_id
    puppet.say(
        failure=pb.WorkerFailure(experiment_id=join.experiment_id, problem="no data set here")
    )
    await puppet.hear("leave")
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    assert (last.state, last.problem) == (
        pb.EXPERIMENT_STATE_FAILED,
        "worker a: no data set here",
    )
    assert (Path(last.results) / "history.csv").read_text().count("\n") == 2, "entry 0 is kept"
    info = RunInfo.read(Path(last.results))
    assert (info.state, info.reason) == (RunState.FAILED, last.problem)


async def test_cancelling_keeps_results_and_releases_workers(simulator):
    started = await simulator.start(attack=0.0, rounds=100)
    puppet = await simulator.attached("a", 5)
    join = await puppet.join()
    await puppet.play(join, 2)
    await puppet.hear("take_part")
    cancelled = await simulator.cancel(started.experiment_id)
    assert cancelled.state == pb.EXPERIMENT_STATE_CANCELLED
    assert [entry.round for entry in cancelled.historical_accuracy] == [0, 1, 2]
    await puppet.hear("leave")
    folder = Path(cancelled.results)
    assert (folder / "model.safetensors").exists()
    assert (folder / "history.csv").read_text().count("\n") == 4
    assert RunInfo.read(folder).state is RunState.CANCELLED


async def test_a_lost_worker_misses_rounds_and_returns(simulator):
    started = await simulator.start(attack=0.0, rounds=3)
    steady = await simulator.attached("steady", 3)
    flaky = await simulator.attached("flaky", 3)
    steady_join, flaky_join = await asyncio.gather(steady.join(), flaky.join())
    order = await flaky.hear("take_part")
    flaky.hang_up()
    await until(lambda: gone(simulator, "flaky"))
    await flaky.submit(flaky_join, order)  # the data plane does not care
    await steady.play(steady_join, 2)
    again = await simulator.attached("flaky", 3)
    assert await again.hear("join") == flaky_join
    await steady.play_on(steady_join)
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    assert last.state == pb.EXPERIMENT_STATE_FINISHED
    assert [entry.round for entry in last.historical_accuracy] == [0, 1, 2, 3]
    assert last.historical_accuracy[1].updates == 5
    for round_number in (2, 3):
        entry = last.historical_accuracy[round_number]
        assert entry.updates == len(steady_join.participant_indices)
        assert entry.close_reason == data_pb.CLOSE_REASON_THRESHOLD, "nobody was waited for"
    assert "worker flaky is gone; its participants miss rounds" in last.notes
    assert "worker flaky is back" in last.notes


async def test_an_aggregator_that_closes_the_federation_ends_the_experiment(simulator, aggregator):
    started = await simulator.start(attack=0.0)
    puppet = await simulator.attached("a", 5)
    join = await puppet.join()
    await puppet.hear("take_part")
    await data_rpc.AggregatorServiceStub(aggregator).CloseFederation(
        data_pb.CloseFederationRequest(federation_id=join.federation_id)
    )
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    assert last.state == pb.EXPERIMENT_STATE_FAILED
    assert last.problem == "the aggregator closed the federation"
    assert [entry.round for entry in last.historical_accuracy] == [0]


@pytest.mark.parametrize(
    ("full", "rounds", "left"),
    [
        ("spec.yaml", 0, set()),
        ("run.json", 0, {"spec.yaml"}),
        ("participants.csv", 1, {"spec.yaml", "accuracy.png", "model.safetensors"}),
        ("history.csv", 1, {"spec.yaml", "accuracy.png", "model.safetensors"}),
        ("accuracy.png", 3, {"spec.yaml", "model.safetensors"}),
        ("model.safetensors", 3, {"spec.yaml", "accuracy.png", "recall.png"}),
    ],
)
async def test_a_full_disk_is_named_and_finished_files_are_kept(
    simulator, monkeypatch, full, rounds, left
):
    append, replace = Table.append, os.replace

    def no_room(path: str) -> None:
        if path.endswith(full):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def append_unless_full(table: Table, rows) -> None:
        rows = list(rows)
        initial = full == "history.csv" and rows[:1] and rows[0].round == 0
        if rows and not initial:
            no_room(str(table.path))
        append(table, rows)

    def replace_unless_full(source: Path, target: Path) -> None:
        no_room(str(target))
        replace(source, target)

    monkeypatch.setattr(Table, "append", append_unless_full)
    monkeypatch.setattr(os, "replace", replace_unless_full)
    started = await simulator.start(clients=2, attack=0.0)
    puppet = await simulator.attached("a", 2)
    playing = asyncio.create_task(_join_and_play_on(puppet))
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    playing.cancel()
    await asyncio.wait([playing])
    assert last.state == pb.EXPERIMENT_STATE_FAILED
    folder = Path(last.results)
    assert last.problem == (
        f"{folder / full} cannot be written: no space is left on its disk. "
        "What was finished before is kept; free some space and run it again"
    )
    files = set(os.listdir(folder))
    assert left <= files
    assert full not in files - {"participants.csv", "history.csv"}
    assert not [name for name in files if name.startswith(".partial")]
    if "run.json" in files:
        assert RunInfo.read(folder).reason == last.problem
    if rounds:
        assert len(RunRecords.read(folder).history) == rounds


async def test_an_end_that_cannot_be_recorded_is_a_failure(simulator, monkeypatch):
    def full(folder: ResultsFolder, *_: object) -> None:
        path = str(folder.path / "run.json")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(ResultsFolder, "end", full)
    started = await simulator.start(clients=2, attack=0.0)
    puppet = await simulator.attached("a", 2)
    playing = asyncio.create_task(_join_and_play_on(puppet))
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    playing.cancel()
    await asyncio.wait([playing])
    assert last.state == pb.EXPERIMENT_STATE_FAILED
    assert "run.json cannot be written: no space is left" in last.problem
    assert RunInfo.read(Path(last.results)).state is RunState.RUNNING, "that of the start stays"


async def _join_and_play_on(puppet) -> None:
    await puppet.play_on(await puppet.join())


async def test_a_refused_federation_leaves_no_folder(simulator):
    started = await simulator.start(clients=2, attack=0.0, device="cuda")
    await simulator.attached("a", 2)
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    assert last.state == pb.EXPERIMENT_STATE_FAILED
    assert "device='cuda' is not possible" in last.problem
    assert last.results == ""
    assert not simulator.runs.exists()
