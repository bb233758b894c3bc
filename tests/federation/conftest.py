"""A whole federation inside one process: real services, real workers, real gRPC on loopback."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from fedsiege import models
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import ResultsFolder
from fedsiege.services.aggregator.service import AggregatorService
from fedsiege.services.attacker.participants import HostileParticipants
from fedsiege.services.client.participants import BenignParticipants
from fedsiege.services.identity.identity import Identity
from fedsiege.services.rpc.server import serving
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.simulator.__main__ import simulating
from fedsiege.services.simulator.service import SimulatorService
from fedsiege.services.worker.submitting import Update
from fedsiege.services.worker.worker import HostedParticipants, Worker
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb

DATA = Path(os.environ.get("FEDSIEGE_DATA", "data"))


@dataclass(frozen=True)
class Outcome:
    """What a run left: its end, its history, the global model before and after every round."""

    experiment: pb.Experiment
    models: list[Floats]
    folder: Path

    @property
    def history(self) -> list[data_pb.AccuracyEntry]:
        return list(self.experiment.historical_accuracy)

    @property
    def accuracies(self) -> list[float]:
        return [entry.accuracy for entry in self.history]


class Town:
    """The services of one test."""

    def __init__(self, stack: AsyncExitStack, root: Path) -> None:
        self._stack = stack
        self._root = root
        self._runs = 0
        self.aggregator: AggregatorService
        self.simulator: SimulatorService
        self._ports = (0, 0)
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._recorded: list[Floats] = []

    async def start(self) -> None:
        self.aggregator = AggregatorService(DATA)
        port = await self._stack.enter_async_context(
            serving(
                "127.0.0.1:0",
                lambda server: data_rpc.add_AggregatorServiceServicer_to_server(
                    self.aggregator, server
                ),
                ["fedsiege.v1.AggregatorService"],
            )
        )
        self._stack.push_async_callback(self.aggregator.close)
        self.simulator, simulator_port = await self._stack.enter_async_context(
            simulating("127.0.0.1:0", f"127.0.0.1:{port}", DATA, self._root)
        )
        self._ports = (port, simulator_port)

    def hire(
        self,
        name: str,
        capacity: int,
        make_participants: Callable[[], HostedParticipants] | None = None,
        kind: pb.WorkerKind.ValueType = pb.WORKER_KIND_CLIENT,
    ) -> asyncio.Task[None]:
        """Start a worker; it works until the test ends or its task is cancelled."""
        benign = kind == pb.WORKER_KIND_CLIENT
        make_participants = make_participants or (
            lambda: BenignParticipants(DATA) if benign else HostileParticipants(DATA)
        )
        hello = pb.Hello(worker=name, kind=kind, capacity=capacity, version="test")
        aggregator, simulator = self._ports
        worker = Worker(
            hello,
            make_participants,
            f"127.0.0.1:{simulator}",
            f"127.0.0.1:{aggregator}",
            Identity(name, f"the secret of {name}".encode()),
        )
        task = asyncio.create_task(worker.run())

        self._workers[name] = task
        self._stack.push_async_callback(self.dismiss, name)
        return task

    async def dismiss(self, name: str) -> None:
        """End a worker, as when its process is killed; one that has ended already stays so."""
        task = self._workers.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def dismiss_all(self) -> None:
        """End all workers, and wait until the simulator knows that they are gone."""
        names = list(self._workers)
        for name in names:
            await self.dismiss(name)
        while True:
            listed = await self.simulator.ListWorkers(pb.ListWorkersRequest(), None)
            if not {worker.worker for worker in listed.workers} & set(names):
                return
            await asyncio.sleep(0.01)

    async def run(
        self, spec: ExperimentSpec, clients: Sequence[int] = (), attackers: Sequence[int] = ()
    ) -> Outcome:
        """Run an experiment to its end, with workers of these capacities if any are given."""
        self._recorded.clear()
        if clients or attackers:
            await self.dismiss_all()
        for number, capacity in enumerate(clients):
            if capacity == 0:
                continue
            first = (lambda: RecordingCrew(self._recorded)) if number == 0 else None
            self.hire(f"client-{number}", capacity, first)
        for number, capacity in enumerate(attackers):
            if capacity == 0:
                continue
            self.hire(f"attacker-{number}", capacity, kind=pb.WORKER_KIND_ATTACKER)
        self._runs += 1
        folder = ResultsFolder(self._root / f"run-{self._runs}")
        experiment = await self.simulator.start(resolve(spec), "", folder)
        async for event in experiment.watch():
            last = event
        described = last.experiment
        assert described.state == pb.EXPERIMENT_STATE_FINISHED, described.problem
        tensors = load_file(folder.path / "model.safetensors")
        layout = models.layout(described.spec["model"])
        final = np.concatenate([tensors[name].ravel() for name, _ in layout])
        return Outcome(described, [*self._recorded, final], folder.path)


class RecordingCrew(BenignParticipants):
    """Benign participants that write down every global model they are sent."""

    def __init__(self, recorded: list[Floats]) -> None:
        super().__init__(DATA)
        self._recorded = recorded

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        self._recorded.append(weights.copy())
        return super().updates(round_number, weights, indices)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)


@pytest.fixture
async def town(tmp_path: Path):
    async with AsyncExitStack() as stack:
        made = Town(stack, tmp_path)
        await made.start()
        yield made


@pytest.fixture
def mnist() -> None:
    """Skip, and say so, where the real MNIST is not at hand."""
    if not (DATA / "MNIST" / "raw" / "train-images-idx3-ubyte").exists():
        pytest.skip("MNIST is not there: set FEDSIEGE_DATA to a folder that holds it")
