"""Assignment of one experiment's participants to workers, and the progress of these workers."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from google.protobuf import duration_pb2

from fedsiege import attacks
from fedsiege.attacks import Knowledge
from fedsiege.errors import FedSiegeError
from fedsiege.experiment import intrusions
from fedsiege.experiment.roster import Roster
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.peer_text import plain
from fedsiege.services.rpc import settings
from fedsiege.services.rpc.report_limit import ReportLimit
from fedsiege.services.simulator.worker_reports import readable, refused_updates
from fedsiege.services.simulator.workers import AttachedWorker, Workers, share_out
from fedsiege.v1 import simulator_pb2 as pb

#: Seconds that workers have to join: they load data and measure how to train.
JOIN_TIMEOUT = 120.0
#: Seconds that a disconnected worker has to attach again before a round without a deadline stops
#: waiting for its updates. On a busy machine a ping may stay unanswered for a while.
REATTACH_TIMEOUT = 30.0
#: Seconds of a round without a deadline in its specification: the longest that is allowed.
NO_DEADLINE = 86_400.0
#: Capacity of an open federation; participant indices are below it.
LARGEST_FEDERATION = 100_000
#: Notes that one worker may cause in a round; an honest worker causes one or two.
MOST_NOTES_OF_A_WORKER = 5


class WorkersMissing(FedSiegeError):
    """The workers that an experiment needs are not attached, or cannot take part."""


@dataclass
class Hosted:
    """The participants that one worker hosts.

    Attributes:
        join: the join message; sent again when the worker attaches again.
        worker: the attached worker; None while it is disconnected.
        enrolled: its participants that have enrolled since it attached.
        refused: the number of its participants that were refused enrolment; only hostile ones.
    """

    join: pb.Join
    worker: AttachedWorker | None
    enrolled: list[int] = field(default_factory=list)
    refused: int = 0

    @property
    def joined(self) -> bool:
        """Whether each of its participants has enrolled or was refused."""
        return len(self.enrolled) + self.refused == len(self.join.participant_indices)


class Assignment:
    """Assigns the participants of one experiment to workers, and follows these workers.

    Args:
        experiment_id: the experiment.
        spec: its specification.
        roster: the benign and the hostile participants.
        workers: the attached workers.
        note: called with each text for people.
        inputs: what the model takes, as text.
    """

    def __init__(
        self,
        experiment_id: str,
        spec: ExperimentSpec,
        roster: Roster,
        workers: Workers,
        note: Callable[[str], None],
        inputs: str = "",
    ) -> None:
        self._experiment_id = experiment_id
        self._inputs = inputs
        self._spec = spec
        self._workers = workers
        self._note = note
        #: Limits the notes that each worker causes in a round, so that none fills the log.
        self._worker_notes = ReportLimit(note, MOST_NOTES_OF_A_WORKER)
        self._hosted: dict[str, Hosted] = {}
        self._failure = ""
        #: The round whose model an attacker was sent to observe, by worker, until it reports.
        self._awaiting_model: dict[str, int] = {}
        self._round = 0
        #: The participants scheduled in the current round, by worker, until it reports.
        self._sent: dict[str, list[int]] = {}
        self._timers: list[asyncio.TimerHandle] = []
        #: Scheduled participants whose updates cannot come any more, for ``StopWaiting``.
        self.unreachable: asyncio.Queue[list[int]] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._stop_listening = workers.listen(self._workers_changed)
        self.hostile = roster.hostile
        self._attack = attacks.parse(spec.attack_name)
        self.intrusions: list[pb.IntrusionReport] = []
        self._needed: dict[pb.WorkerKind.ValueType, list[int]] = {
            pb.WORKER_KIND_CLIENT: roster.benign,
            pb.WORKER_KIND_ATTACKER: sorted(self.hostile),
        }

    def _workers_changed(self) -> None:
        """Update workers that were disconnected, or that have attached again."""
        self._wake.set()
        for name, hosted in self._hosted.items():
            worker = self._workers.get(name)
            if worker is hosted.worker:
                continue
            hosted.worker, hosted.enrolled, hosted.refused = worker, [], 0
            self._awaiting_model.pop(name, None)
            if worker is None:
                self._note_worker(name, f"worker {name} is gone; its participants miss rounds")
                if sent := self._sent.get(name):
                    later = asyncio.get_running_loop().call_later
                    self._timers.append(later(REATTACH_TIMEOUT, self._expire, name, sent))
            else:
                self._note_worker(name, f"worker {name} is back")
                self._send(hosted, worker)

    def _expire(self, name: str, sent: list[int]) -> None:
        """Stop waiting for the updates of a worker that has not attached again."""
        if self._sent.get(name) is sent and self._workers.get(name) is None:
            self._mark_unreachable(name)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _mark_unreachable(self, name: str) -> None:
        """Stop waiting for further updates of a worker in this round."""
        if sent := self._sent.pop(name, None):
            self.unreachable.put_nowait(sent)

    def _send(self, hosted: Hosted, worker: AttachedWorker) -> None:
        worker.experiment_id = self._experiment_id
        worker.send(pb.AttachResponse(join=hosted.join))

    def missing(self) -> str:
        """Return which workers are missing, for people; empty if there are enough."""
        waiting = []
        for kind, indices in self._needed.items():
            places = sum(worker.hello.capacity for worker in self._workers.of_kind(kind))
            if places < len(indices):
                name = pb.WorkerKind.Name(kind).removeprefix("WORKER_KIND_").lower()
                waiting.append(f"{len(indices)} places on {name} workers ({places} are there)")
        return f"waiting for {' and '.join(waiting)}" if waiting else ""

    async def changed(self) -> None:
        """Wait for the next message or change of the workers."""
        await self._wake.wait()
        self._wake.clear()

    def assign(self, federation_id: str) -> None:
        """Distribute the participants among workers and send the join messages.

        Raises:
            WorkersMissing: the attached workers are too few.
        """
        if missing := self.missing():
            raise WorkersMissing(missing)
        for kind, indices in self._needed.items():
            workers = {worker.name: worker for worker in self._workers.of_kind(kind)}
            capacities = {name: worker.hello.capacity for name, worker in workers.items()}
            for name, share in share_out(indices, capacities).items():
                hosted = Hosted(self._join_message(kind, federation_id, share), workers[name])
                self._hosted[name] = hosted
                self._send(hosted, workers[name])

    def _join_message(
        self, kind: pb.WorkerKind.ValueType, federation_id: str, share: list[int]
    ) -> pb.Join:
        """Return the join message; an attacker's has as much as its attack may know."""
        spec = self._spec
        join = pb.Join(
            experiment_id=self._experiment_id,
            federation_id=federation_id,
            model=spec.model,
            dataset=spec.dataset,
            seed=spec.seed,
            num_participants=spec.clients or LARGEST_FEDERATION,
            participant_indices=share,
            device=spec.device,
            inputs=self._inputs,
        )
        training = pb.TrainingTask(settings=settings.write(spec, training=True))
        if kind == pb.WORKER_KIND_CLIENT:
            join.training.CopyFrom(training)
            return join
        join.attack.attack = spec.attack_name
        join.attack.intrusions = spec.intrusions
        if self._attack.knows is not Knowledge.NONE:
            join.attack.training.CopyFrom(training)
        if self._attack.knows is Knowledge.FULL:
            join.attack.rule = spec.rule
        return join

    async def ready(self) -> None:
        """Wait until the participants of every worker have enrolled.

        Raises:
            WorkersMissing: a worker failed, or was not ready within ``JOIN_TIMEOUT``.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOIN_TIMEOUT):
                while not self._failure and not all(b.joined for b in self._hosted.values()):
                    await self.changed()
        if self._failure:
            raise WorkersMissing(self._failure)
        late = [name for name, hosted in self._hosted.items() if not hosted.joined]
        if late:
            self._not_ready(f"not ready after {JOIN_TIMEOUT:.0f} s: {', '.join(late)}")

    def _not_ready(self, problem: str) -> None:
        """Handle workers that are too slow: an experiment with a fixed roster fails."""
        raise WorkersMissing(problem)

    async def present(self, patience: float) -> list[int]:
        """Return the enrolled participants of attached workers, ascending; wait for the first.

        Raises:
            WorkersMissing: there was none for ``patience`` seconds.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not (available := self._available()):
                    await self.changed()
                return available
        raise WorkersMissing(f"no participant was available for {patience:g} s")

    def _available(self) -> list[int]:
        """Return the participants that can take part now, ascending."""
        return sorted(index for hosted in self._hosted.values() for index in hosted.enrolled)

    def start_round(self, round_number: int, scheduled: Collection[int], deadline: float) -> None:
        """Send the workers of scheduled participants their assignments of a round.

        Attackers get one in any case and observe the model, so that the state of an attack does not
        depend on which worker hosts the scheduled participants.

        Args:
            round_number: the round, which is open.
            scheduled: the scheduled participants.
            deadline: seconds until the round closes.
        """
        scheduled = frozenset(scheduled)
        order = pb.TakePart(experiment_id=self._experiment_id, round=round_number)
        order.deadline.CopyFrom(seconds(deadline))
        knowledge = pb.TakePart()  # for attackers only
        if self._attack.knows is not Knowledge.NONE:
            knowledge.hostile_indices.extend(sorted(scheduled & self.hostile))
            knowledge.num_scheduled = len(scheduled)
        if self._attack.knows is Knowledge.FULL:
            knowledge.benign_indices.extend(sorted(scheduled - self.hostile))
        self._awaiting_model.clear()
        self._worker_notes.reset()
        self._round = round_number
        self._sent.clear()
        self._cancel_timers()
        self.unreachable = asyncio.Queue()
        reached: set[int] = set()
        for name, hosted in self._hosted.items():
            sent = [index for index in hosted.enrolled if index in scheduled]
            hostile = hosted.join.HasField("attack")
            if hosted.worker is None or not (sent or (hostile and hosted.enrolled)):
                continue
            message = pb.AttachResponse(take_part=order)
            message.take_part.participant_indices[:] = sent
            if hostile:
                message.take_part.MergeFrom(knowledge)
            if sent:
                self._sent[name] = sent
                reached.update(sent)
            else:
                self._awaiting_model[name] = round_number
            hosted.worker.send(message)
        if unreached := sorted(scheduled - reached):
            self.unreachable.put_nowait(unreached)

    async def models_seen(self, patience: float) -> None:
        """Wait until attackers without scheduled participants have observed the round's model.

        They pull it when the round opens, so this seldom waits. The aggregator drops the model
        after the next round. After ``patience`` seconds the late ones are noted.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._awaiting_model:
                    await self.changed()
        for name, number in self._awaiting_model.items():
            self._note(f"round {number}: worker {name} has not observed the model of the round")

    def handle(self, worker: AttachedWorker, message: pb.AttachRequest) -> None:
        """Process a message of a worker, as far as it concerns its own participants."""
        hosted = self._hosted.get(worker.name)
        if hosted is None or hosted.worker is not worker:
            return
        match message.WhichOneof("message"):
            case "joined":
                given = [one.participant_index for one in message.joined.memberships]
                if not set(given) <= set(hosted.join.participant_indices):
                    problem = f"worker {worker.name} enrolled participants of other workers"
                    self._cannot_join(hosted, problem)
                elif len(given) >= len(hosted.enrolled):
                    self._enrolled(hosted, given, message.joined)
            case "round_report":
                report = message.round_report
                if self._awaiting_model.get(worker.name) == report.round:
                    del self._awaiting_model[worker.name]
                if report.round == self._round:
                    sent = self._sent.pop(worker.name, [])
                    if report.submitted < len(sent):
                        self.unreachable.put_nowait(sent)
                for text in refused_updates(worker.name, report):
                    self._note_worker(worker.name, text)
            case "intrusion" if hosted.join.HasField("attack"):
                self._record_intrusion(message.intrusion)
            case "failure":
                problem = f"worker {worker.name}: {plain(message.failure.problem)}"
                self._awaiting_model.pop(worker.name, None)
                self._mark_unreachable(worker.name)
                self._note_worker(worker.name, problem)
                if not hosted.joined:
                    self._cannot_join(hosted, problem)
        self._wake.set()

    def _note_worker(self, worker: str, text: str) -> None:
        """Note a text caused by a worker, unless it has reached its limit in this round."""
        self._worker_notes.report(f"worker {worker}", text)

    def _cannot_join(self, hosted: Hosted, problem: str) -> None:
        """Handle a worker that cannot take part: an experiment with a fixed roster fails."""
        self._failure = problem

    def _enrolled(self, hosted: Hosted, indices: list[int], joined: pb.Joined) -> None:
        """Record a worker's enrolled participants."""
        if not hosted.enrolled and hosted.worker is not None:
            name = hosted.worker.name
            self._note_worker(name, f"worker {name}: {plain(joined.method)}")
        hosted.enrolled, hosted.refused = indices, 0
        if joined.refused and hosted.join.HasField("attack"):
            hosted.refused = joined.refused
            total = len(hosted.join.participant_indices)
            text = f"{joined.refused} of {total} hostile participants were refused enrolment"
            self._note_worker(hosted.worker.name if hosted.worker else "", text)

    async def intrusions_over(self, patience: float) -> None:
        """Wait for the reports of all intrusions, at most ``patience`` seconds."""
        asked = len(intrusions.parse(self._spec.intrusions))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while len(self.intrusions) < asked:
                    await self.changed()

    def _record_intrusion(self, report: pb.IntrusionReport) -> None:
        """Keep and note the report of an intrusion of the specification, once."""
        asked = intrusions.parse(self._spec.intrusions)
        if report.intrusion in asked and all(
            one.intrusion != report.intrusion for one in self.intrusions
        ):
            report = readable(report)
            self.intrusions.append(report)
            self._note(
                f"{report.intrusion}: {report.succeeded} of {report.tried} attempts succeeded "
                f"in {report.seconds:.2f} s {dict(report.refusals) or ''}".rstrip()
            )

    def release(self) -> None:
        """End the assignment: send all its workers a leave message."""
        self._stop_listening()
        self._cancel_timers()
        self._worker_notes.reset()
        for hosted in self._hosted.values():
            if hosted.worker is not None:
                hosted.worker.experiment_id = ""
                leave = pb.Leave(experiment_id=self._experiment_id)
                hosted.worker.send(pb.AttachResponse(leave=leave))
        self._hosted.clear()


def seconds(value: float) -> duration_pb2.Duration:
    """Return a duration in seconds as a protobuf message."""
    duration = duration_pb2.Duration()
    duration.FromMicroseconds(int(value * 1e6))
    return duration
