"""A run on this machine: what is on the screen when an experiment ends."""

import contextlib
import io
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

from rich.console import Console

from fedsiege.cli import local_run
from fedsiege.cli.observer import ScreenObserver
from fedsiege.cli.screen import Screen
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import HistoryRow
from fedsiege.services.launch.credentials import Credentials
from fedsiege.services.launch.local import Ports
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
