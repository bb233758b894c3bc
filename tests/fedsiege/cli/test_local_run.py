"""A run on this machine: what is on the screen when an experiment ends."""

import contextlib
import io
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

from rich.console import Console

from fedsiege.cli import local_run
from fedsiege.cli.observer import Observer, ScreenObserver
from fedsiege.cli.screen import Screen
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import HistoryRow
from fedsiege.services.launch.base import Endpoints
from fedsiege.services.launch.credentials import Credentials
from fedsiege.services.launch.local import Ports
from fedsiege.services.rpc.history_rows import row_message
from fedsiege.services.simulator.__main__ import simulating
from fedsiege.services.simulator.experiment import Experiment
from fedsiege.services.simulator.workers import Workers
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb


class FailingLaptop:
    """A simulator whose experiment fails after its first round."""

    host = "127.0.0.1"

    def write_to(self, runs: Path, logs: Path) -> None:
        pass

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[object, Ports]]:
        yield self, Ports(0, 0)

    async def start(self, *_: object) -> object:
        return SimpleNamespace()


async def test_why_an_experiment_failed_is_the_last_thing_on_the_screen(
    tmp_path: Path, monkeypatch
) -> None:
    output = io.StringIO()
    screen = Screen(Console(file=output, width=100, highlight=False))
    folder = SimpleNamespace(path=tmp_path)
    observer = ScreenObserver(screen)
    one = local_run._LocalRun(FailingLaptop(), None, lambda: folder, observer, Credentials())

    async def see_through(*_: object) -> pb.ExperimentState.ValueType:
        one._rows += [HistoryRow(i, 0.9, 0.5, 100, 0, 0.1) for i in (0, 1)]
        one._problem = "the aggregator: UNAVAILABLE: ping timeout"
        return pb.EXPERIMENT_STATE_FAILED

    monkeypatch.setattr(one, "_see_through", see_through)
    choice: Future = Future()
    choice.set_result((resolve(ExperimentSpec(clients=5, rounds=2)), ""))
    assert not await one.run(choice)
    read = SimpleNamespace(spec=ExperimentSpec(attack=0), history=one._rows)
    monkeypatch.setattr(local_run.RunRecords, "read", lambda path: read)
    monkeypatch.setattr(screen, "print_summary", lambda _: None)
    one.report(local_run.Twin.FIND, [])
    one.end(finished=False)
    last = output.getvalue().splitlines()[-6:]
    assert "The experiment failed" in last[1]
    assert "the aggregator: UNAVAILABLE: ping timeout" in last[3]


async def test_a_history_larger_than_a_message_is_followed_to_its_end(tmp_path: Path) -> None:
    """500 rounds with a test by 100 classes take 10 MiB; a message may have 4 MiB."""
    resolved = resolve(ExperimentSpec(clients=5, rounds=499, dataset="digits"))
    experiment = Experiment("e", resolved, "", Workers(), None, tmp_path, lambda: None)
    for number in range(500):
        row = HistoryRow(number, 0.9, 0.5, 5, 0, 0.1)
        experiment.rows.append(row_message(row))
        experiment.history.append(data_pb.AccuracyEntry(round=number, confusion=[500] * 10_000))
    experiment.state = pb.EXPERIMENT_STATE_FINISHED
    assert experiment.describe().ByteSize() > 4 << 20
    one = local_run._LocalRun(FailingLaptop(), None, lambda: None, Observer(), Credentials())
    async with simulating("127.0.0.1:0", "127.0.0.1:1", tmp_path, tmp_path) as (service, port):
        service._experiments["e"] = experiment
        state = await one._follow(experiment, Endpoints("", f"127.0.0.1:{port}"))
    assert state == pb.EXPERIMENT_STATE_FINISHED
    assert [row.round for row in one._rows] == list(range(500))
