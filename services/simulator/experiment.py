"""One experiment: its schedule of rounds, its state for watchers, and the recording of results."""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

import grpc
from google.protobuf.struct_pb2 import Struct

from fedsiege.atomic import describe_error
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.experiment.protection import budget_of
from fedsiege.experiment.resolve import ResolvedSpec
from fedsiege.experiment.roster import Roster
from fedsiege.peer_text import plain
from fedsiege.registry import spell
from fedsiege.results import ResultsFolder, RunState, detections
from fedsiege.services.errors import Refusal
from fedsiege.services.rpc import settings
from fedsiege.services.rpc.history_rows import row_message
from fedsiege.services.simulator.assignment import JOIN_TIMEOUT, NO_DEADLINE, Assignment
from fedsiege.services.simulator.attack_success import AttackSuccessRates
from fedsiege.services.simulator.conclusion import conclude
from fedsiege.services.simulator.conversion import confusion, history_row, participant_row
from fedsiege.services.simulator.first_round import hardly_moved, norm_of_model
from fedsiege.services.simulator.intervention import Intervention
from fedsiege.services.simulator.open_assignment import OpenAssignment
from fedsiege.services.simulator.remote_federation import RemoteFederation
from fedsiege.services.simulator.workers import AttachedWorker, Workers
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb

log = logging.getLogger(__name__)

ENDED = frozenset(
    {
        pb.EXPERIMENT_STATE_FINISHED,
        pb.EXPERIMENT_STATE_FAILED,
        pb.EXPERIMENT_STATE_CANCELLED,
    }
)
#: Seconds to wait for the last history entry when an experiment is stopped.
CATCH_UP = 5.0
#: Seconds that the attacker has after the last round to finish its intrusions.
INTRUSIONS_TIMEOUT = 60.0
#: Closed rounds that may wait to be recorded before the next one opens. The aggregator keeps the
#: details of its last ROUNDS_IN_DETAIL rounds only, and each round that waits holds a model in
#: memory whose attack success is being measured.
MOST_UNRECORDED = 4
#: Largest number of notes, so that workers cannot fill the memory.
MOST_NOTES = 200
#: Largest number of characters of a note or a problem.
MOST_CHARACTERS = 1_000


class Experiment:
    """Schedules the rounds of one experiment and records its results.

    Args:
        experiment_id: the identifier in messages.
        resolved: the resolved specification; its data set is not "auto".
        dataset_reason: why the data set was chosen; empty if the specification names it.
        workers: the attached workers.
        aggregator: the aggregator's stub.
        data: the folder of the data sets.
        make_folder: creates the results folder.
    """

    def __init__(
        self,
        experiment_id: str,
        resolved: ResolvedSpec,
        dataset_reason: str,
        workers: Workers,
        aggregator: "data_rpc.AggregatorServiceAsyncStub",
        data: Path,
        make_folder: Callable[[], ResultsFolder],
    ) -> None:
        self.experiment_id = experiment_id
        self.resolved = resolved
        self.state: pb.ExperimentState.ValueType = pb.EXPERIMENT_STATE_WAITING
        self.history: list[data_pb.AccuracyEntry] = []
        #: The row of ``history.csv`` of each entry.
        self.rows: list[Struct] = []
        self.notes = [*filter(None, [dataset_reason]), *resolved.notes]
        self.problem = ""
        self.results = ""
        self.federation: RemoteFederation | None = None
        #: Hooks before and after every round; to be set before the first round.
        self.intervention = Intervention()
        #: The round that was opened last, 0 before any.
        self.round = 0
        self.created_at = time.time()
        self.ended_at = 0.0
        self._dataset_reason = dataset_reason
        self._aggregator = aggregator
        self._data = data
        self._make_folder = make_folder
        self._folder: ResultsFolder | None = None
        kind = Assignment if resolved.spec.clients else OpenAssignment
        self._roster = Roster(resolved.spec)
        inputs = spell(resolved.inputs) if resolved.inputs else ""
        self._assignment = kind(
            experiment_id, resolved.spec, self._roster, workers, self.note, inputs
        )
        self._remarked: set[str] = set()
        self._budget = budget_of(resolved.spec)
        #: The privacy budget spent up to each round; None without a mechanism.
        self._epsilons: list[float | None] = [None if self._budget.delta is None else 0.0]
        self._initial_norm = 0.0
        self._changed = asyncio.Event()
        self._version = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def hostile(self) -> set[int]:
        """The indices of the hostile participants."""
        return self._assignment.hostile

    @property
    def ended(self) -> bool:
        """Whether the experiment has finished, failed or been cancelled."""
        return self.state in ENDED

    def describe(self, *, with_history: bool = True) -> pb.Experiment:
        """Return the experiment's description: specification, state, history, notes."""
        message = pb.Experiment(
            experiment_id=self.experiment_id,
            spec=settings.write(self.resolved.spec),
            state=self.state,
            historical_accuracy=self.history if with_history else [],
            rows=self.rows if with_history else [],
            results=self.results,
            problem=self.problem,
            federation_id=self.federation.federation_id if self.federation else "",
            hostile_indices=sorted(self.hostile),
            notes=self.notes,
            num_recorded=len(self.history),
        )
        message.create_time.FromMicroseconds(int(self.created_at * 1e6))
        if self.ended_at:
            message.end_time.FromMicroseconds(int(self.ended_at * 1e6))
        return message

    async def watch(
        self, from_round: int | None = None
    ) -> AsyncIterator[pb.WatchExperimentResponse]:
        """Yield the description, then an event for each change, then the final description.

        With ``from_round`` that is the first round yielded, even if it is over, and the
        descriptions have no history; without it only the rounds to come are yielded.
        """
        with_history, version = from_round is None, self._version
        position = len(self.history) if from_round is None else from_round
        yield pb.WatchExperimentResponse(experiment=self.describe(with_history=with_history))
        while not self.ended:
            if version != self._version:
                version = self._version
                yield pb.WatchExperimentResponse(experiment=self.describe(with_history=False))
            elif position < len(self.history):
                yield self._entry(position)
                position += 1
            else:
                await self._changed.wait()
        for later in range(position, len(self.history)):
            yield self._entry(later)
        yield pb.WatchExperimentResponse(experiment=self.describe(with_history=with_history))

    def _entry(self, position: int) -> pb.WatchExperimentResponse:
        return pb.WatchExperimentResponse(entry=self.history[position], row=self.rows[position])

    def _notify_watchers(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _notify_state(self) -> None:
        """Send watchers a new description."""
        self._version += 1
        self._notify_watchers()

    def note(self, note: str) -> None:
        """Add a note for people; above ``MOST_NOTES`` it goes to the log only."""
        note = plain(note, MOST_CHARACTERS)
        log.info("experiment %s: %s", self.experiment_id, note)
        if len(self.notes) > MOST_NOTES:
            return
        full = f"more than {MOST_NOTES} notes: what follows is in the simulator's log only"
        self.notes.append(note if len(self.notes) < MOST_NOTES else full)
        self._notify_state()

    def start(self, lock: asyncio.Lock) -> None:
        """Start as soon as the lock is free: experiments run one after the other."""
        self._task = asyncio.create_task(self._run(lock))

    async def cancel(self) -> None:
        """Cancel the experiment and wait until its results so far are written."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def handle(self, worker: AttachedWorker, message: pb.AttachRequest) -> None:
        """Process a message of a worker about this experiment."""
        if not self.ended:
            self._assignment.handle(worker, message)

    async def _run(self, lock: asyncio.Lock) -> None:
        """Run the experiment, and set its state and problem however it ends."""
        state = pb.EXPERIMENT_STATE_FAILED
        try:
            if lock.locked():
                self.problem = "waiting for another experiment to end"
            async with lock:
                await self._run_rounds()
            state = pb.EXPERIMENT_STATE_FINISHED
        except asyncio.CancelledError:
            state, self.problem = pb.EXPERIMENT_STATE_CANCELLED, "cancelled"
        except FedSiegeError as error:
            self.problem = str(error)
        except grpc.aio.AioRpcError as error:
            self.problem = f"the aggregator: {Refusal.of(error)}"
        except OSError as error:
            if error.errno is None:
                log.exception("experiment %s", self.experiment_id)
            self.problem = describe_error(error)
        except Exception as error:  # else the experiment would end without a state
            log.exception("experiment %s", self.experiment_id)
            self.problem = f"{type(error).__name__}: {error}"
        finally:
            self.problem = plain(self.problem, MOST_CHARACTERS)
            self._assignment.release()
            self.state, self.ended_at = self._record_end(state), time.time()
            self._notify_state()
            name = pb.ExperimentState.Name(state).removeprefix("EXPERIMENT_STATE_").lower()
            log.info("experiment %s %s %s", self.experiment_id, name, self.problem)

    def _record_end(self, state: pb.ExperimentState.ValueType) -> pb.ExperimentState.ValueType:
        """Write into ``run.json`` how the experiment ended, and return the state it ended in.

        If that cannot be written, the experiment has failed.
        """
        if self._folder is None:
            return state
        name = pb.ExperimentState.Name(state).removeprefix("EXPERIMENT_STATE_").lower()
        reason = self.problem if state == pb.EXPERIMENT_STATE_FAILED else ""
        try:
            self._folder.end(RunState(name), reason, self.notes)
        except OSError as error:
            log.warning("experiment %s: %s", self.experiment_id, describe_error(error))
            if state == pb.EXPERIMENT_STATE_FINISHED:
                self.problem = describe_error(error)
                return pb.EXPERIMENT_STATE_FAILED
        return state

    async def _run_rounds(self) -> None:
        """Wait for workers, create the federation, run the rounds, write the results."""
        if self.resolved.spec.faults and not self.intervention.makes_faults:
            allowed = "faults are made on containers that fedsiege sim itself starts: ENGINE=docker"
            raise InvalidValue("FAULTS", self.resolved.spec.faults, allowed)
        await self._wait_for_workers()
        self.state = pb.EXPERIMENT_STATE_RUNNING
        self._notify_state()
        rates = await asyncio.to_thread(AttackSuccessRates.of, self.resolved.spec, self._data)
        # Created before the folder, so that a refused federation leaves no folder.
        federation = await RemoteFederation.create(self._aggregator, self.resolved.spec)
        self.federation = federation
        with self._make_folder() as folder:
            self.results = str(folder.path)
            self._folder = folder
            folder.start(
                self.resolved,
                dataset_reason=self._dataset_reason,
                initial_weights=federation.described.spec.init,
                initial_weights_sha256=federation.described.init_sha256,
            )
            await rates.measure(0, federation)
            self._initial_norm = await norm_of_model(federation)
            follower = asyncio.create_task(federation.follow())
            recorder = asyncio.create_task(self._record(folder, federation, rates))
            try:
                self.note(federation.initial_weights)
                await self._wait_for_workers()  # some may have left since
                self._assignment.assign(federation.federation_id)
                await self._assignment.ready()
                for number in range(1, self.resolved.spec.rounds + 1):
                    await self._let_recording_catch_up(number, recorder, follower)
                    if not await self._run_round(number, federation, follower, recorder):
                        await self._let_recording_catch_up(number, recorder, follower, most=0)
                        break
                    await rates.measure(number, federation)
                else:
                    await _unless_ended(recorder, follower)
                await self._assignment.intrusions_over(INTRUSIONS_TIMEOUT)
            finally:
                await asyncio.shield(self._catch_up(federation, follower, recorder))
                follower.cancel()
                recorder.cancel()
                if folder.rows:
                    concluding = conclude(
                        folder, self.resolved, federation, self._assignment.intrusions, self.note
                    )
                    await asyncio.shield(concluding)

    async def _wait_for_workers(self) -> None:
        """Wait until enough workers are attached; ``problem`` says which are missing."""
        while missing := self._assignment.missing():
            if missing != self.problem:
                self.problem = missing
                self._notify_state()
            await self._assignment.changed()
        if self.problem:
            self.problem = ""
            self._notify_state()

    async def _let_recording_catch_up(
        self, number: int, *others: asyncio.Task[None], most: int = MOST_UNRECORDED
    ) -> None:
        """Wait until at most ``most`` of the rounds before this one are unrecorded.

        A slow disk or a slow measurement of the attack success slows the run down. Without the
        wait, the aggregator would drop the details of rounds before they are recorded.

        Raises:
            FedSiegeError, grpc.aio.AioRpcError, OSError: what ended the recording.
        """
        while number - len(self.history) > most:
            recorded = asyncio.create_task(self._changed.wait())
            try:
                await _unless_ended(recorded, *others)
            finally:
                recorded.cancel()

    async def _run_round(
        self, number: int, federation: RemoteFederation, *others: asyncio.Task[None]
    ) -> bool:
        """Run one round until it is aggregated; its model is tested during the next one.

        Returns:
            Whether it was run; not where it would exceed the privacy budget.
        """
        spec = self.resolved.spec
        await self.intervention.before(number)
        deadline = spec.deadline or NO_DEADLINE
        present = await self._assignment.present(spec.deadline or JOIN_TIMEOUT)
        scheduled = self._roster.scheduled(present, number)
        if not await self._spend(number, scheduled, len(present)):
            return False
        threshold = min(spec.threshold or len(scheduled), len(scheduled))
        await federation.open_round(number, scheduled, threshold, deadline)
        self.round = number
        self._assignment.start_round(number, scheduled, deadline)
        moved = asyncio.create_task(federation.has_aggregated(number))
        stop_waiting = asyncio.create_task(self._stop_waiting(number, federation))
        try:
            await _unless_ended(moved, stop_waiting, *others)
        finally:
            moved.cancel()
            stop_waiting.cancel()
        await self.intervention.after(number)
        await self._assignment.models_seen(deadline)
        return True

    async def _spend(self, number: int, scheduled: Sequence[int], of: int) -> bool:
        """Spend the privacy budget of a round; return whether it may be spent."""
        protected = [index for index in scheduled if index not in self.hostile]
        drawn = (protected, len(scheduled), of)
        # In a thread: the accountant of samples takes a moment.
        epsilon = await asyncio.to_thread(self._budget.after, *drawn)
        limit = self.resolved.spec.stop_at_epsilon
        if epsilon is not None and limit is not None and epsilon > limit:
            self.note(
                f"ended before round {number}, which would bring the privacy budget to epsilon="
                f"{epsilon:.4g}, above STOP_AT_EPSILON={limit:g}"
            )
            return False
        self._budget.spend(*drawn)
        self._epsilons.append(epsilon)
        return True

    async def _stop_waiting(self, number: int, federation: RemoteFederation) -> None:
        """Report participants whose updates cannot come, if the round has no deadline."""
        while self.resolved.spec.deadline is None:
            indices = await self._assignment.unreachable.get()
            await federation.stop_waiting(number, indices)
        await asyncio.Event().wait()

    async def _catch_up(self, federation: RemoteFederation, *needed: asyncio.Task[None]) -> None:
        """Wait up to ``CATCH_UP`` seconds for the entry of the last aggregated round."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                while len(self.history) <= federation.aggregated:
                    if any(task.done() for task in needed):
                        return
                    await self._changed.wait()

    async def _record(
        self, folder: ResultsFolder, federation: RemoteFederation, rates: AttackSuccessRates
    ) -> None:
        """Record every history entry and the outcomes of its participants."""
        for number in range(self.resolved.spec.rounds + 1):
            entry, seen = await federation.entries.get()
            if entry.problem:
                self.note(f"round {number}: {entry.problem}")
            self._note_remarks(number, entry.remarks)
            rows = [participant_row(one, number, self.hostile) for one in seen]
            rate, epsilon = await rates.rate(number), self._epsilons[number]
            row = history_row(entry, rows, rate, epsilon).after(folder.rows)
            self.rows.append(row_message(row))
            self.history.append(entry)  # only now that it will be written, too
            found = detections(rows, self.resolved.spec.rule)
            folder.add_round(row, rows, confusion(entry), found)
            if number == 1 and (said := hardly_moved(rows, self._initial_norm)):
                self.note(said)
            if number:
                self.intervention.recorded(number, rows)
            self._notify_watchers()

    def _note_remarks(self, number: int, remarks: Iterable[str]) -> None:
        """Note the rule's remarks on a round, once each, whatever numbers they contain."""
        for remark in remarks:
            kind = re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "N", remark)
            if kind not in self._remarked:
                self._remarked.add(kind)
                self.note(f"from round {number} on: {remark}")


async def _unless_ended(awaited: asyncio.Task[object], *others: asyncio.Task[None]) -> None:
    """Wait for a task; if another one ends first, raise its error.

    Raises:
        FedSiegeError: another task ended first, without an error.
    """
    await asyncio.wait([awaited, *others], return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        if other.done() and not awaited.done():
            await other
            raise FedSiegeError("the aggregator closed the federation")
    await awaited
