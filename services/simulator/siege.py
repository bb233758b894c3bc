"""``fedsiege sim``: one experiment on this machine, shown on the screen."""

import asyncio
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fedsiege.errors import InvalidValue
from fedsiege.spec import ExperimentSpec, Settled
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc
from services.simulator.conversion import history_row
from services.simulator.laptop import Laptop, Ports, even_shares
from services.simulator.results import HistoryRow, ResultsFolder
from services.simulator.screen import Screen
from services.simulator.service import SimulatorService, choose_dataset
from services.wire.channel import connect

MOST_WORKERS = 64


def run(
    spec: ExperimentSpec, data: Path, out: Path | None, workers: int, ports: Ports, screen: Screen
) -> bool:
    """Run one experiment from start to end.

    Args:
        spec: what to do.
        data: the folder of the data sets.
        out: the results folder; None for a new one under ``runs``.
        workers: processes that the benign participants are shared out among, 1 to 64.
        ports: where the services listen; 0 takes a free port.
        screen: where to show it.

    Returns:
        Whether it finished.

    Raises:
        FedSiegeError: it is not possible; nothing was started.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise InvalidValue("WORKERS", workers, f"a whole number from 1 to {MOST_WORKERS}")
    if spec.clients == 0:
        raise InvalidValue("CLIENTS", 0, "1 or more: on this machine nobody comes by himself")
    settled = spec.settle()
    folder = ResultsFolder(out) if out else ResultsFolder.named_after(settled.spec)
    benign = settled.spec.clients - settled.spec.hostile
    laptop = Laptop(
        clients=even_shares(benign, workers),
        attackers=[settled.spec.hostile],
        data=data,
        runs=folder.path.parent,
        logs=folder.path / "logs",
        ports=ports,
    )
    # Only now that the services are forked there may be threads.
    with ThreadPoolExecutor(1) as background:
        choice = background.submit(choose_dataset, settled, data)
        try:
            return asyncio.run(_Siege(laptop, folder, screen).run(choice))
        except asyncio.CancelledError:
            screen.say("Stopped. What there is has been kept.")
            return False


class _Siege:
    """One experiment on the screen."""

    def __init__(self, laptop: Laptop, folder: ResultsFolder, screen: Screen) -> None:
        self._laptop = laptop
        self._folder = folder
        self._screen = screen
        self._rows: list[HistoryRow] = []
        self._notes = 0

    async def run(self, choice: "Future[tuple[Settled, str]]") -> bool:
        """Start the services, follow the experiment; Ctrl-C and SIGTERM end both in order."""
        here = asyncio.current_task()
        assert here is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, here.cancel)
        state = pb.EXPERIMENT_STATE_CANCELLED
        chosen: Settled | None = None
        try:
            async with self._laptop.running() as (service, ports):
                settled, reason = await asyncio.wrap_future(choice)
                chosen = settled
                self._announce(settled, reason, ports)
                death = asyncio.create_task(self._laptop.death())
                following = asyncio.create_task(self._follow(service, settled, reason, ports))
                try:
                    await asyncio.wait([death, following], return_when=asyncio.FIRST_COMPLETED)
                    if not following.done():
                        await death
                    state = await following
                finally:
                    following.cancel()
                    death.cancel()
        finally:
            if chosen is not None and self._rows:
                self._screen.print_history(self._rows)
                self._screen.print_cost(chosen, self._rows, self._folder.path)
        return state == pb.EXPERIMENT_STATE_FINISHED

    def _announce(self, settled: Settled, reason: str, ports: Ports) -> None:
        if reason:
            self._screen.warn(reason)
        self._screen.print_spec(settled)
        self._screen.say(
            f"aggregator 127.0.0.1:{ports.aggregator}, simulator 127.0.0.1:{ports.simulator}, "
            f"logs {self._folder.path / 'logs'}"
        )

    async def _follow(
        self, service: SimulatorService, settled: Settled, reason: str, ports: Ports
    ) -> pb.ExperimentState.ValueType:
        """Start the experiment and show it until it ends."""
        experiment = await service.start(settled, reason, self._folder)
        self._notes = len(experiment.notes)
        request = pb.WatchExperimentRequest(experiment_id=experiment.experiment_id)
        async with connect(f"127.0.0.1:{ports.simulator}") as channel:
            stub = rpc.SimulatorServiceStub(channel)
            last = experiment.describe()
            with self._screen.rounds(settled.spec.rounds) as show:
                async for event in stub.WatchExperiment(request):
                    if event.HasField("entry"):
                        self._rows.append(history_row(event.entry))
                        show(self._rows[-1])
                    else:
                        last = event.experiment
                        for note in last.notes[self._notes :]:
                            self._screen.say(note)
                        self._notes = max(self._notes, len(last.notes))
        if last.state == pb.EXPERIMENT_STATE_FAILED:
            self._screen.warn(last.problem, title="The experiment failed")
        return last.state
