"""Start and watch the worker containers of an experiment, make its faults, record their use."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, Protocol

from fedsiege.experiment.faults import FaultPlan
from fedsiege.services.launch.base import Endpoints, Fleet, FleetFailed
from fedsiege.services.launch.faulting import Faulting
from fedsiege.services.launch.statistics import Statistics
from fedsiege.services.simulator.experiment import Experiment
from fedsiege.services.simulator.intervention import Intervention
from fedsiege.v1 import simulator_pb2 as pb

#: Seconds between two samples of the containers.
SAMPLE_EVERY = 1.0
#: Seconds that the workers get to attach once their containers run.
ARRIVAL_PATIENCE = 120.0


class Display(Protocol):
    """Where progress is shown."""

    def waiting(self, text: str) -> AbstractContextManager[Callable[[str], None]]:
        """Show a text while the block runs; what it gives is called with each new text."""
        ...

    def say(self, text: str) -> None:
        """Show a line."""
        ...


class Supervision:
    """Supervises the worker containers of one run.

    Args:
        fleet: prepared.
        folder: the results folder.
        screen: shows the progress.
    """

    def __init__(self, fleet: Fleet, folder: Path, screen: Display) -> None:
        self._fleet, self._folder, self._screen = fleet, folder, screen
        self._statistics = Statistics(folder / "containers.csv")
        self._faulting: Faulting | None = None
        self._disturbed: Experiment | None = None
        self._started = time.monotonic()

    async def start(self, endpoints: Endpoints) -> None:
        """Start the containers and show how far it is.

        Raises:
            FleetFailed: one could not be started.
        """
        total = len(self._fleet.workers)
        self._started = time.monotonic()
        with self._screen.waiting(f"containers 0 of {total}") as show:
            await self._fleet.start(
                endpoints,
                lambda count: show(f"containers {count} of {total}"),
                self._screen.say,
            )
        self._screen.say(f"{total} containers started in {self._since():.1f} s")

    def make_faults(self, experiment: Experiment) -> None:
        """Make the faults that the experiment asks for."""
        spec = experiment.resolved.spec
        plan = FaultPlan.parse(spec.faults)
        if plan:
            table = self._folder / "faults.csv"
            self._faulting = Faulting(self._fleet, plan, spec.seed, table, experiment.note)
            experiment.intervention = self._faulting
            self._disturbed = experiment

    async def supervise(self, experiment: Experiment) -> NoReturn:
        """Watch and sample the containers until cancelled.

        Raises:
            FleetFailed: the fleet cannot go on.
        """
        tasks = [
            asyncio.create_task(self._fleet.watch()),
            asyncio.create_task(self._count(experiment)),
            asyncio.create_task(_expect_arrival(experiment)),
        ]
        try:
            await asyncio.gather(*tasks)
            raise FleetFailed("the containers are not watched any more")
        finally:
            for task in tasks:
                task.cancel()

    async def _count(self, experiment: Experiment) -> NoReturn:
        while True:
            await self.sample(experiment)
            await asyncio.sleep(SAMPLE_EVERY)

    async def sample(self, experiment: Experiment) -> None:
        """Sample all containers once; a failure is noted and does not end the run."""
        try:
            samples = await self._fleet.sample()
        except FleetFailed as error:
            experiment.note(str(error))
        else:
            self._statistics.add(self._since(), experiment.round, samples)

    def _since(self) -> float:
        return time.monotonic() - self._started

    def close(self) -> None:
        """End the faults and report what the containers used."""
        if self._disturbed is not None and self._faulting is not None:
            self._disturbed.intervention = Intervention()
            self._faulting.close()
        self._statistics.close()
        if summary := self._statistics.summary():
            self._screen.say(summary)


async def _expect_arrival(experiment: Experiment) -> None:
    """Make sure that the workers find the simulator.

    Raises:
        FleetFailed: they do not.
    """
    await asyncio.sleep(ARRIVAL_PATIENCE)
    if experiment.state == pb.EXPERIMENT_STATE_WAITING:
        raise FleetFailed(
            f"The containers run, but after {ARRIVAL_PATIENCE:.0f} s the experiment is still "
            f"{experiment.problem}; does a firewall keep containers from this machine?"
        )
