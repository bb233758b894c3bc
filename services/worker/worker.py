"""The worker: attaches to the simulator, hosts participants, and submits their updates.

Client and attacker are this worker with different participants. A worker only opens connections,
accepts none, waits for services that are not up yet, and reconnects after a lost connection.
"""

import abc
import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import grpc

from fedsiege.errors import FedSiegeError
from fedsiege.services.errors import Refusal
from fedsiege.services.identity.identity import Identity
from fedsiege.services.retry import attempts
from fedsiege.services.rpc.channel import TRANSIENT, connect, data_plane
from fedsiege.services.rpc.proxies import Route
from fedsiege.services.rpc.pulling import ModelStream
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.worker.enrolling import Enroller
from fedsiege.services.worker.submitting import Sender, Update
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

log = logging.getLogger(__name__)

T = TypeVar("T")

#: All participants of a process compute in this one thread: more would contend for its core, and
#: torch.fx, with which the cohort engine traces models, is not thread-safe.
_COMPUTING = ThreadPoolExecutor(1, thread_name_prefix="participants")
#: Reasons of refusals that mean that the round had closed before the update arrived.
TOO_LATE = frozenset({"STALE_ROUND", "ROUND_CLOSED"})


class HostedParticipants(abc.ABC):
    """The participants that one worker hosts in one experiment. Its methods run in one thread."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """The number of parameters of the model; available after ``prepare``."""

    @abc.abstractmethod
    def prepare(self, join: pb.Join) -> str:
        """Load model and data, and return a short description of how the participants compute."""

    def expect(self, order: pb.TakePart) -> None:  # noqa: B027 - optional
        """Read the assignment of a round before its updates are computed; by default do nothing."""

    def observe(self, round_number: int, weights: Floats) -> None:  # noqa: B027 - optional
        """Read the model of a round in which no participant of this worker is scheduled.

        Args:
            round_number: 1 or more.
            weights: ``(d,)`` the round's global model, read-only.
        """

    @abc.abstractmethod
    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Yield the updates of some participants in blocks.

        Args:
            round_number: 1 or more.
            weights: ``(d,)`` the round's global model; not to be changed.
            indices: the participants, ascending.
        """


class AggregatorCalls:
    """A worker's open calls to the aggregator for one experiment: GetModel and SubmitUpdates.

    Args:
        aggregator: the aggregator's stub.
        federation_id, credentials: as for ``Sender``.
    """

    def __init__(
        self,
        aggregator: "data_rpc.AggregatorServiceAsyncStub",
        federation_id: str,
        credentials: Mapping[int, bytes],
    ) -> None:
        self.models = ModelStream(aggregator)
        self.sender = Sender(aggregator, federation_id, credentials)

    def close(self) -> None:
        """Cancel both calls."""
        self.models.close()
        self.sender.close()


@dataclass
class Assignment:
    """A worker's part in one experiment.

    Attributes:
        join: the last join message.
        participants: the participants that it hosts.
        method: how they compute, in a few words; empty until they are prepared.
        slots: the slots of participants by index; they never change.
        credentials: the secrets of enrolled participants by index.
        calls: the calls to the aggregator; None before the first round.
        join_task: the last enrolment, running or done.
        round_task: the last round, running or done.
    """

    join: pb.Join
    participants: HostedParticipants
    method: str = ""
    slots: dict[int, int] = field(default_factory=dict)
    credentials: dict[int, bytes] = field(default_factory=dict)
    calls: AggregatorCalls | None = None
    join_task: asyncio.Task[None] | None = None
    round_task: asyncio.Task[None] | None = None

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks that were started last, running or done."""
        return [task for task in (self.join_task, self.round_task) if task is not None]


class Worker:
    """Hosts participants for the experiments of a simulator.

    A renewed certificate takes effect at once: the worker opens new channels and attaches again,
    while running tasks go on over the old ones.

    Args:
        hello: the worker's name, kind and capacity.
        make_participants: creates the participants of an experiment.
        simulator: the simulator's ``host:port``.
        aggregator: the aggregator's ``host:port``.
        identity: name, secret, tokens and certificate; the same name and secret keep the indices of
            its participants after a restart. None for a new random secret.
    """

    def __init__(
        self,
        hello: pb.Hello,
        make_participants: Callable[[], HostedParticipants],
        simulator: str,
        aggregator: str,
        identity: Identity | None = None,
    ) -> None:
        identity = identity or Identity(hello.worker)
        self._hello = hello
        self._make_participants = make_participants
        self._simulator = simulator
        self._aggregator = aggregator
        self._identity = identity
        self._enroller = Enroller(
            hello.worker,
            identity.secret or secrets.token_bytes(32),
            identity.tokens,
            one_by_one=hello.kind == pb.WORKER_KIND_ATTACKER,
        )
        self._assignments: dict[str, Assignment] = {}
        self._outbox: asyncio.Queue[pb.AttachRequest | None] = asyncio.Queue()
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            while True:
                await self._work_until_renewed()
        finally:
            await self._stop()

    async def _work_until_renewed(self) -> None:
        """Stay attached over new channels until the certificate is renewed."""
        tls = self._identity.tls
        version = tls.version if tls else 0
        channels = connect(self._simulator, tls), connect(self._aggregator, tls)
        self._control: rpc.SimulatorServiceAsyncStub = rpc.SimulatorServiceStub(channels[0])
        self._data: data_rpc.AggregatorServiceAsyncStub = data_plane(channels[1])
        attached = asyncio.create_task(self._stay_attached())
        renewed = asyncio.create_task(tls.renewed(version) if tls else asyncio.Event().wait())
        try:
            await asyncio.wait((attached, renewed), return_when=asyncio.FIRST_COMPLETED)
            if attached.done():
                await attached  # raises: it ends only with an error
            log.info("the certificate was renewed; attaching again")
        finally:
            attached.cancel()
            renewed.cancel()
            await asyncio.wait((attached, renewed))
            for assignment in self._assignments.values():
                assignment.calls = None  # running tasks keep the old ones
            closing = asyncio.create_task(_close_after(self._running_tasks(), *channels))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _stay_attached(self) -> None:
        """Attach to the simulator, and again whenever the connection ends."""
        async for attempt in attempts():
            try:
                await self._attach()
                log.info("the simulator closed the stream; attaching again")
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRANSIENT:
                    log.warning("not attached: %s", Refusal.of(error))
                elif attempt == 0:
                    log.info("waiting for the simulator at %s", Route.to(self._simulator))

    def _running_tasks(self) -> list[asyncio.Task[None]]:
        tasks = [task for assignment in self._assignments.values() for task in assignment.tasks()]
        return [task for task in tasks if not task.done()]

    async def _stop(self) -> None:
        """Cancel the running tasks and wait until the channels are closed."""
        for task in self._running_tasks():
            task.cancel()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _attach(self) -> None:
        """Keep one Attach call open until it ends."""
        outbox = self._outbox = asyncio.Queue()
        outbox.put_nowait(pb.AttachRequest(hello=self._hello))
        try:
            async for message in self._control.Attach(_drain(outbox)):
                self._handle(message)
        finally:
            outbox.put_nowait(None)  # else gRPC waits for another message for ever

    def _handle(self, message: pb.AttachResponse) -> None:
        """Start the task of a message from the simulator."""
        match message.WhichOneof("message"):
            case "join":
                join = message.join
                assignment = self._assignments.get(join.experiment_id)
                if assignment is None:
                    assignment = self._assignments[join.experiment_id] = Assignment(
                        join, self._make_participants()
                    )
                assignment.join = join  # repeated after a lost connection, or with more indices
                assignment.join_task = self._replace_task(
                    assignment.join_task, assignment, self._join(assignment)
                )
            case "take_part":
                ordered = self._assignments.get(message.take_part.experiment_id)
                if ordered is not None:
                    work = self._take_part(ordered, message.take_part)
                    ordered.round_task = self._replace_task(ordered.round_task, ordered, work)
            case "leave":
                left = self._assignments.pop(message.leave.experiment_id, None)
                if left is not None:
                    for task in left.tasks():
                        task.cancel()
                    if left.calls is not None:
                        left.calls.close()

    def _replace_task(
        self,
        older: asyncio.Task[None] | None,
        assignment: Assignment,
        work: Coroutine[None, None, None],
    ) -> asyncio.Task[None]:
        """Start a task, and cancel the older one of its kind."""
        if older is not None:
            older.cancel()
        return asyncio.create_task(self._run_task(assignment, work))

    async def _run_task(self, assignment: Assignment, work: Coroutine[None, None, None]) -> None:
        """Await the work of a task, and report a failure to the simulator."""
        try:
            await work
        except grpc.aio.AioRpcError as error:
            problem = f"the aggregator refused: {Refusal.of(error)}"
        except FedSiegeError as error:
            problem = str(error)
        except Exception as error:
            log.exception("assignment failed")
            problem = f"{type(error).__name__}: {error}"
        else:
            return
        log.warning("%s", problem)
        failure = pb.WorkerFailure(experiment_id=assignment.join.experiment_id, problem=problem)
        self._outbox.put_nowait(pb.AttachRequest(failure=failure))

    async def _compute(self, function: Callable[[], T]) -> T:
        """Run a function in the computing thread, so that participants need no locks."""
        return await asyncio.get_running_loop().run_in_executor(_COMPUTING, function)

    async def _join(self, assignment: Assignment) -> None:
        """Prepare and enrol the participants, and report it to the simulator."""
        join = assignment.join
        if not assignment.method:
            assignment.method = await self._compute(lambda: assignment.participants.prepare(join))
            log.info("experiment %s: %s", join.experiment_id, assignment.method)
        for index in join.participant_indices:
            assignment.slots.setdefault(index, len(assignment.slots))
        enrolled = await self._enroller.enroll(self._data, join.federation_id, assignment.slots)
        assignment.credentials.update(enrolled.credentials)
        joined = pb.Joined(
            experiment_id=join.experiment_id,
            memberships=enrolled.memberships,
            method=assignment.method,
            refused=enrolled.refusals.total(),
        )
        self._outbox.put_nowait(pb.AttachRequest(joined=joined))

    async def _take_part(self, assignment: Assignment, order: pb.TakePart) -> None:
        """Run a round: pull the model, compute blocks of updates, send each during the next.

        If none of its participants is scheduled, they only observe the model.
        """
        deadline = time.monotonic() + order.deadline.ToTimedelta().total_seconds()
        report = pb.RoundReport(experiment_id=order.experiment_id, round=order.round)
        calls = self._calls_of(assignment)
        sending: asyncio.Task[None] | None = None
        try:
            weights, _ = await calls.models.pull(
                assignment.join.federation_id,
                order.round,
                assignment.participants.size,
                even_closed=not order.participant_indices,
                deadline=deadline,
            )
            assignment.participants.expect(order)
            if not order.participant_indices:
                await self._compute(lambda: assignment.participants.observe(order.round, weights))
            blocks = assignment.participants.updates(
                order.round, weights, list(order.participant_indices)
            )
            remaining = len(order.participant_indices)
            while remaining > 0:
                block = await self._next_block(blocks, report)
                if block is None:
                    break
                remaining -= len(block)
                if sending is not None:
                    await sending
                sending = asyncio.create_task(self._submit(calls.sender, report, block, deadline))
            if sending is not None:
                await sending
        except grpc.aio.AioRpcError as error:
            refusal = Refusal.of(error)
            if refusal.reason not in TOO_LATE:
                raise
            report.refused = report.late = len(order.participant_indices)
            report.problem = str(refusal)
        finally:
            if sending is not None:
                sending.cancel()
        self._outbox.put_nowait(pb.AttachRequest(round_report=report))

    def _calls_of(self, assignment: Assignment) -> AggregatorCalls:
        if assignment.calls is None:
            assignment.calls = AggregatorCalls(
                self._data, assignment.join.federation_id, assignment.credentials
            )
        return assignment.calls

    async def _next_block(
        self, blocks: Iterator[list[Update]], report: pb.RoundReport
    ) -> list[Update] | None:
        """Compute the next block of updates; None after the last."""
        started = time.perf_counter()
        block = await self._compute(lambda: next(blocks, None))
        report.compute_seconds += time.perf_counter() - started
        return block

    async def _submit(
        self, sender: Sender, report: pb.RoundReport, block: list[Update], deadline: float
    ) -> None:
        """Submit a block of updates, and count acceptances and refusals in the report."""
        refusals = await sender.submit(report.round, block, deadline)
        report.submitted += len(block) - len(refusals)
        others = [one for one in refusals if one.reason not in TOO_LATE]
        if others and report.refused == report.late:
            report.problem = str(others[0])
        elif refusals and not report.problem:
            report.problem = str(refusals[0])
        report.refused += len(refusals)
        report.late += len(refusals) - len(others)


async def _drain(outbox: asyncio.Queue[pb.AttachRequest | None]) -> AsyncIterator[pb.AttachRequest]:
    while (message := await outbox.get()) is not None:
        yield message


async def _close_after(tasks: Sequence[asyncio.Task[None]], *channels: grpc.aio.Channel) -> None:
    """Close channels once the tasks that use them have ended."""
    if tasks:
        await asyncio.wait(tasks)
    for channel in channels:
        await channel.close()
