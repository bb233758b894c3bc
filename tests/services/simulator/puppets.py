"""Workers that a test controls, and a client of the simulator."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import numpy as np

from fedsiege.services.rpc import settings
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc
from tests.services.conftest import pieces_of

Code = grpc.StatusCode
PATIENCE = 15
CLIENT, ATTACKER = pb.WORKER_KIND_CLIENT, pb.WORKER_KIND_ATTACKER
SMALL = {"clients": 5, "attack": 0.4, "rounds": 2, "dataset": "digits", "deadline": 10.0}


class Puppet:
    """A worker's stream that a test controls."""

    def __init__(self, stub: "rpc.SimulatorServiceAsyncStub", aggregator: grpc.aio.Channel) -> None:
        self._says: asyncio.Queue[pb.AttachRequest | None] = asyncio.Queue()
        self.call = stub.Attach(self._speech(), timeout=PATIENCE)
        self._aggregator = data_rpc.AggregatorServiceStub(aggregator)
        self._name = ""

    async def _speech(self) -> AsyncIterator[pb.AttachRequest]:
        while (message := await self._says.get()) is not None:
            yield message

    def say(self, **message: object) -> None:
        self._says.put_nowait(pb.AttachRequest(**message))

    def hello(self, name: str, capacity: int = 1, kind: int = CLIENT) -> "Puppet":
        self._name = name
        self.say(hello=pb.Hello(worker=name, kind=kind, capacity=capacity))
        return self

    def said_all(self) -> bool:
        """Whether all messages have been sent."""
        return self._says.empty()

    def hang_up(self) -> None:
        self._says.put_nowait(None)

    async def hear(self, kind: str):
        message = await asyncio.wait_for(self.call.read(), PATIENCE)
        assert message is not grpc.aio.EOF, "the line ended"
        assert message.WhichOneof("message") == kind, message
        return getattr(message, kind)

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.call.read(), PATIENCE) is grpc.aio.EOF

    async def join(self) -> pb.Join:
        """Receive join, enrol, and send joined."""
        join = await self.hear("join")
        response = await self._aggregator.Enroll(
            data_pb.EnrollRequest(
                federation_id=join.federation_id,
                enrollments=[
                    data_pb.Enrollment(
                        identity=f"{self._name}/{i}", credential=bytes(16), participant_index=i
                    )
                    for i in join.participant_indices
                ],
            )
        )
        self.say(
            joined=pb.Joined(
                experiment_id=join.experiment_id,
                memberships=response.memberships,
                method="as a puppet",
            )
        )
        return join

    async def play(self, join: pb.Join, rounds: int) -> None:
        """Take part with updates that change nothing."""
        for number in range(1, rounds + 1):
            order = await self.hear("take_part")
            assert order.round == number
            assert list(order.participant_indices) == list(join.participant_indices)
            await self.submit(join, order)

    async def play_on(self, join: pb.Join) -> None:
        """Take part until a leave message."""
        while True:
            message = await asyncio.wait_for(self.call.read(), PATIENCE)
            if message.HasField("leave"):
                return
            await self.submit(join, message.take_part)

    async def submit(self, join: pb.Join, order: pb.TakePart) -> None:
        for index in order.participant_indices:
            header = data_pb.UpdateHeader(
                federation_id=join.federation_id,
                round=order.round,
                participant_index=index,
                credential=bytes(16),
            )
            update = np.zeros(13_106, np.float32)
            request = data_pb.SubmitUpdatesRequest(pieces=pieces_of(header, update))
            await self._aggregator.SubmitUpdates(iter([request])).read()

    async def work(self, rounds: int) -> pb.Join:
        """Take part in a whole experiment."""
        join = await self.join()
        await self.play(join, rounds)
        leave = await self.hear("leave")
        assert leave.experiment_id == join.experiment_id
        return join


class Simulator:
    """A client of the simulator."""

    def __init__(self, channel: grpc.aio.Channel, aggregator: grpc.aio.Channel, runs: Path) -> None:
        self.channel = channel
        self.stub: rpc.SimulatorServiceAsyncStub = rpc.SimulatorServiceStub(channel)
        self._aggregator = aggregator
        self.runs = runs

    def puppet(self) -> Puppet:
        return Puppet(self.stub, self._aggregator)

    async def attached(self, name: str, capacity: int = 1, kind: int = CLIENT) -> Puppet:
        puppet = self.puppet().hello(name, capacity, kind)
        await until(lambda: self.is_attached(name))
        return puppet

    async def workers(self) -> list[pb.Worker]:
        return list((await self.stub.ListWorkers(pb.ListWorkersRequest())).workers)

    async def is_attached(self, name: str) -> bool:
        return name in [one.worker for one in await self.workers()]

    async def start(self, **fields: object) -> pb.Experiment:
        spec = settings.of({**SMALL, **fields})
        response = await self.stub.StartExperiment(pb.StartExperimentRequest(spec=spec))
        return response.experiment

    async def get(self, experiment_id: str) -> pb.Experiment:
        request = pb.GetExperimentRequest(experiment_id=experiment_id)
        return (await self.stub.GetExperiment(request)).experiment

    async def cancel(self, experiment_id: str) -> pb.Experiment:
        request = pb.CancelExperimentRequest(experiment_id=experiment_id)
        return (await self.stub.CancelExperiment(request)).experiment

    async def ended(
        self, experiment_id: str, from_round: int | None = None
    ) -> list[pb.WatchExperimentResponse]:
        """Return all events of an experiment until it has ended."""
        request = pb.WatchExperimentRequest(experiment_id=experiment_id, from_round=from_round)
        return [event async for event in self.stub.WatchExperiment(request, timeout=PATIENCE)]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - it is said when asked
            await asyncio.sleep(0.005)


async def gone(simulator: Simulator, name: str) -> bool:
    return not await simulator.is_attached(name)


async def has_problem(simulator: Simulator, experiment_id: str, words: str) -> bool:
    return words in (await simulator.get(experiment_id)).problem
