"""Surroundings of a real worker: participants, simulator and aggregator that a test controls."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import grpc
import numpy as np

from fedsiege.services.errors import Duplicate, ServiceError
from fedsiege.services.identity.identity import Identity
from fedsiege.services.rpc.tensors import Floats, encode_model
from fedsiege.services.worker.submitting import Update
from fedsiege.services.worker.worker import HostedParticipants, Worker
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

SIZE = 5
PATIENCE = 10.0


class ToyParticipants(HostedParticipants):
    """Sends, for participant i in round t of model w, the update ``w + 100 t + i``."""

    def __init__(self) -> None:
        self.prepared: list[pb.Join] = []
        self.thread = ""
        self.rounds: list[int] = []
        self.seen: dict[int, Floats] = {}
        self.error: Exception | None = None
        self.error_in_prepare: Exception | None = None
        self.computing = threading.Event()
        self.go_on: threading.Event | None = None
        self.block = 2
        self.blocks = 0
        self.wrong_index = False

    @property
    def size(self) -> int:
        return SIZE

    def prepare(self, join: pb.Join) -> str:
        self.prepared.append(join)
        self.thread = threading.current_thread().name
        if self.error_in_prepare is not None:
            raise self.error_in_prepare
        return "by guessing"

    def observe(self, round_number: int, weights: Floats) -> None:
        self.seen[round_number] = weights

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        self.rounds.append(round_number)
        for start in range(0, len(indices), self.block):
            self.blocks += 1
            yield [
                Update(index + 1_000 * self.wrong_index, weights + 100 * round_number + index, 7, 3)
                for index in indices[start : start + self.block]
            ]
            self.computing.set()
            if self.go_on is not None:
                assert self.go_on.wait(PATIENCE)
            if self.error is not None:
                raise self.error


class Line:
    """The simulator's end of a worker's stream."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[pb.AttachRequest] = asyncio.Queue()
        self.tells: asyncio.Queue[pb.AttachResponse | Exception | None] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def hear(self, kind: str):
        """Return the worker's next message, which must be of this kind."""
        message = await asyncio.wait_for(self.heard.get(), PATIENCE)
        assert message.WhichOneof("message") == kind, message
        return getattr(message, kind)

    def join(self, indices: Sequence[int] = (2, 4, 5), experiment: str = "e") -> None:
        self.tells.put_nowait(
            pb.AttachResponse(
                join=pb.Join(
                    experiment_id=experiment,
                    federation_id="f",
                    model="toy",
                    participant_indices=indices,
                )
            )
        )

    def take_part(
        self,
        round_number: int,
        indices: Sequence[int] = (2, 4, 5),
        deadline: float = PATIENCE,
        experiment: str = "e",
    ) -> None:
        order = pb.TakePart(
            experiment_id=experiment, round=round_number, participant_indices=indices
        )
        order.deadline.FromMicroseconds(int(deadline * 1e6))
        self.tells.put_nowait(pb.AttachResponse(take_part=order))

    def leave(self) -> None:
        self.tells.put_nowait(pb.AttachResponse(leave=pb.Leave(experiment_id="e")))


class Simulator(rpc.SimulatorServiceServicer):
    """A simulator that lets a test exchange messages with the attached workers."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[Line] = asyncio.Queue()

    async def Attach(self, request_iterator, context):
        line = Line()
        listening = asyncio.create_task(self._listen(line, request_iterator))
        self.lines.put_nowait(line)
        try:
            while (message := await line.tells.get()) is not None:
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, grpc.StatusCode):
                    await context.abort(message, "by the test")
                yield message
        finally:
            listening.cancel()
            line.gone.set()

    @staticmethod
    async def _listen(line: Line, messages: AsyncIterator[pb.AttachRequest]) -> None:
        async for message in messages:
            line.heard.put_nowait(message)

    async def line(self) -> Line:
        return await asyncio.wait_for(self.lines.get(), PATIENCE)

    async def attached(self) -> Line:
        """Return a stream after its hello."""
        line = await self.line()
        await line.hear("hello")
        return line

    async def joined(self, **fields: object) -> Line:
        line = await self.attached()
        line.join(**fields)
        await line.hear("joined")
        return line


Hook = Callable[[data_pb.UpdateHeader], Awaitable[None]]


class LineBreaks(Exception):
    """The connection is lost during an update."""


class Aggregator(data_rpc.AggregatorServiceServicer):
    """An aggregator that accepts every update, with hooks for a test before and after."""

    def __init__(self) -> None:
        self.enrolled: list[data_pb.Enrollment] = []
        self.requests: list[int] = []
        self.models: list[int] = []
        self.only_looked: list[int] = []
        self.taken: dict[tuple[int, int], tuple[data_pb.UpdateHeader, np.ndarray]] = {}
        self.submissions: list[int] = []
        self.streams = 0
        self.cut = asyncio.Event()
        self.before: Hook | None = None
        self.after: Hook | None = None
        self.enroll_error: Exception | None = None
        self.refused: dict[str, Exception] = {}
        self.model_error: Exception | None = None
        self.size = SIZE
        self.hold_models: asyncio.Event | None = None
        self.asked_for_model = asyncio.Event()
        self.model_cancelled = asyncio.Event()

    async def Enroll(self, request, context):
        if self.enroll_error is not None:
            raise self.enroll_error
        self.requests.append(len(request.enrollments))
        for enrollment in request.enrollments:
            if enrollment.identity in self.refused:
                raise self.refused[enrollment.identity]
        self.enrolled.extend(request.enrollments)
        return data_pb.EnrollResponse(
            memberships=[
                data_pb.Membership(identity=e.identity, participant_index=e.participant_index)
                for e in request.enrollments
            ]
        )

    async def GetModel(self, request_iterator, context):
        async for request in request_iterator:
            async for message in self._model(request):
                yield message

    async def _model(self, request):
        self.models.append(request.round)
        if request.even_closed:
            self.only_looked.append(request.round)
        self.asked_for_model.set()
        if self.model_error is not None:
            raise self.model_error
        if self.hold_models is not None:
            try:
                await self.hold_models.wait()
            except asyncio.CancelledError:
                self.model_cancelled.set()
                raise
        weights = np.arange(self.size, dtype=np.float32)
        for message in encode_model(request.round, [("w", (self.size,))], weights):
            yield message

    async def SubmitUpdates(self, request_iterator, context):
        response = data_pb.SubmitUpdatesResponse()
        try:
            async for message in request_iterator:
                for piece in message.pieces:
                    receipt = response.receipts.add()
                    try:
                        await self._take(piece)
                    except ServiceError as error:
                        receipt.code = error.number
                        receipt.reason, receipt.message = error.reason, error.message
                if message.answer:
                    self.streams += 1
                    yield response
                    response = data_pb.SubmitUpdatesResponse()
        except LineBreaks:
            self.streams += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the line broke")
        except asyncio.CancelledError:
            self.cut.set()
            raise

    async def _take(self, piece: data_pb.UpdatePiece) -> None:
        """Accept one update; all are small enough for one piece."""
        header = piece.header
        self.submissions.append(header.participant_index)
        if self.before is not None:
            await self.before(header)
        key = header.round, header.participant_index
        if key in self.taken:
            raise Duplicate("DUPLICATE_UPDATE", "already submitted")
        self.taken[key] = header, np.frombuffer(piece.chunk.data, np.float32)
        if self.after is not None:
            await self.after(header)


class Scene:
    """The worker, its participants and its services."""

    def __init__(self, serve) -> None:
        self.simulator = Simulator()
        self.aggregator = Aggregator()
        self.hosted: list[ToyParticipants] = []
        self._next_participants: ToyParticipants | None = None
        self._serve = serve
        self.hello = pb.Hello(worker="w1", kind=pb.WORKER_KIND_CLIENT, capacity=9, version="0")

    @property
    def participants(self) -> ToyParticipants:
        """The participants of the next experiment, or of the current one."""
        if not self.hosted and self._next_participants is None:
            self._next_participants = ToyParticipants()
        return self.hosted[0] if self.hosted else self._next_participants

    def _make_participants(self) -> ToyParticipants:
        participants, self._next_participants = self._next_participants or ToyParticipants(), None
        self.hosted.append(participants)
        return participants

    async def start(self, place: Identity | None = None) -> "asyncio.Task[None]":
        ends = [await self._serve(self.simulator), await self._serve(self.aggregator)]
        return asyncio.create_task(Worker(self.hello, self._make_participants, *ends, place).run())


@contextlib.asynccontextmanager
async def at_work(scene: Scene, place: Identity | None = None) -> AsyncIterator[Scene]:
    """Run the worker of a scene while the block runs."""
    running = await scene.start(place)
    try:
        yield scene
    finally:
        if scene.participants.go_on is not None:
            scene.participants.go_on.set()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it is set nowhere here
            await asyncio.sleep(0.002)


async def refuse(index: int, error: Exception, header: data_pb.UpdateHeader) -> None:
    if header.participant_index == index:
        raise error


async def lose(losses: dict[int, int], header: data_pb.UpdateHeader) -> None:
    """Lose the connection the given number of times for each participant."""
    if losses.get(header.participant_index, 0) > 0:
        losses[header.participant_index] -= 1
        raise LineBreaks
